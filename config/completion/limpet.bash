# Completion of limpet, limpetctl and limpet-join in bash. Needs no other completion to be loaded.

# Behind "--" stands the workers' command: programs, then files. bash takes "cookie:sid" for three words.
_limpet() {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -- ]] || continue
		((i + 1 == COMP_CWORD)) && mapfile -t COMPREPLY < <(compgen -c -- "$word")
		return
	done
	case $previous in
	-c | --control)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		;;
	-n)
		mapfile -t COMPREPLY < <(compgen -W 'auto 1 2 4 8' -- "$word")
		;;
	-p)
		mapfile -t COMPREPLY < <(compgen -W 'accept node-cluster limpet node-ipc:' -- "$word")
		;;
	-s)
		mapfile -t COMPREPLY < <(compgen -W 'ip cookie: header: query: path:' -- "$word")
		;;
	-l) ;;
	:)
		[[ ${COMP_WORDS[COMP_CWORD - 2]} == node-ipc ]] && mapfile -t COMPREPLY < <(compgen -W \
			'socket.io sticky-session sticky-cluster sticky-session:connection sticky-listen limpet:connection' -- "$word")
		[[ ${COMP_WORDS[COMP_CWORD - 2]} == node-cluster ]] && mapfile -t COMPREPLY < <(compgen -W 'accept message' -- "$word")
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -W \
			'-c -h -l -n -p -s -t -V --control --demo --help --print-config --print-schema --version --' -- "$word")
		;;
	esac
	[[ ${COMPREPLY[0]} == *: ]] && compopt -o nospace 2>/dev/null
	return 0
}

_limpetctl() {
	local word=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	if [[ ${COMP_WORDS[COMP_CWORD - 1]} == -S ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -W '-S -j -h -V status restart reload upgrade stop' -- "$word")
	fi
}

# What is no option begins the command.
_limpet_join() {
	local word=${COMP_WORDS[COMP_CWORD]} i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-S | -P | -s | -p | --channel-fd) ((i++)) ;;
		--)
			((i + 1 == COMP_CWORD)) && mapfile -t COMPREPLY < <(compgen -c -- "$word")
			return
			;;
		-*) ;;
		*) return ;;
		esac
	done
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	-S) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	-p) mapfile -t COMPREPLY < <(compgen -W 'accept node-cluster limpet node-ipc:' -- "$word") ;;
	-P | -s | --channel-fd) ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W '-S -P -s -p -h -V --channel-fd --help --version --' -- "$word")
		[[ $word == -* ]] || mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -c -- "$word")
		;;
	esac
	return 0
}

complete -o default -o filenames -F _limpet limpet
complete -o default -o filenames -F _limpet_join limpet-join
complete -o default -o filenames -F _limpetctl limpetctl
