#include "supervisor/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* By convention, where there is no user database. */
#define NOBODY 65534

/* Sanitizers open files, and start a process that reads memory, to report what they found; coverage writes files. */
#if defined(LIMPET_SANITIZED) || defined(LIMPET_COVERAGE)
#define INSTRUMENTED true
#else
#define INSTRUMENTED false
#endif

const char *sandbox_why(int error)
{
	switch (-error) {
	case ENOSYS:
		return "the kernel has it not";
	case EOPNOTSUPP:
		return "it is disabled in the kernel";
	case ENOPKG:
		return "limpet was built without it";
	case ECANCELED:
		return "limpet was built with sanitizers or for coverage";
	case EPERM:
		return "limpet has no right to it";
	default:
		return strerror(-error);
	}
}

/* ---- privileges ---- */

/* Where nothing is and nobody can put anything: a directory that is removed while we are in it. */
static int enter_empty_root(void)
{
	static const char *const places[] = {"/run/limpet.XXXXXX", "/tmp/limpet.XXXXXX", "/dev/shm/limpet.XXXXXX"};
	int result = -EPERM;

	if (INSTRUMENTED)
		return -ECANCELED;
	if (geteuid() != 0)
		return -EPERM;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char path[32];

		strcpy(path, places[i]);
		if (!mkdtemp(path)) {
			result = -errno;
			continue;
		}
		result = chdir(path) < 0 ? -errno : 0;
		rmdir(path);
		if (!result)
			return chroot(".") < 0 || chdir("/") < 0 ? -errno : 1;
	}
	return result;
}

/* Needs the user database, which is a file. */
static int find_user(const char *name, uid_t *uid, gid_t *gid)
{
	const struct passwd *user = getpwnam(name ? name : "nobody");

	*uid = user ? user->pw_uid : NOBODY;
	*gid = user ? user->pw_gid : NOBODY;
	return name && !user ? -ENOENT : 0;
}

static int become(uid_t uid, gid_t gid)
{
	return setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ? -errno : 0;
}

/* None are left, and none can come back: not by executing a file that has some, either. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capset, &header, none);
}

static bool any_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct has[2];
	unsigned any = 0;

	if (syscall(SYS_capget, &header, has) < 0)
		return true;
	for (int i = 0; i < 2; i++)
		any |= has[i].effective | has[i].permitted | has[i].inheritable;
	return any != 0;
}

int sandbox_drop_privileges(const char *user, struct sandbox_state *state)
{
	static const struct rlimit nothing;
	bool root = geteuid() == 0;
	int result;
	uid_t uid;
	gid_t gid;

	memset(state, 0, sizeof(*state));
	result = find_user(user, &uid, &gid);
	if (root && result < 0)
		return result;
	/* Both open a file, else at the first line of the log and at the first message of a worker. */
	tzset();
	json_object_seed(0);
	setrlimit(RLIMIT_CORE, &nothing); /* it would hold what clients sent */
	state->empty_root = enter_empty_root();
	for (int capability = 0; root && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;)
		capability++;
	result = root ? become(uid, gid) : 0;
	/* A container may have no right to change users, or only one user: accepted, unless it is against the configuration. */
	if (result < 0 && user)
		return result;
	drop_capabilities();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!INSTRUMENTED)
		setrlimit(RLIMIT_NPROC, &nothing);
	state->pid = getpid();
	state->uid = geteuid();
	state->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	state->capabilities = any_capability();
	return 0;
}

/* ---- files and networks ---- */

/* linux/landlock.h of the oldest kernel headers that limpet is built with has only the first field and the first bits. */
struct landlock_ruleset {
	uint64_t files;
	uint64_t network; /* from ABI 4 on */
	uint64_t scoped;  /* from ABI 6 on */
};

/* All that an ABI can forbid is forbidden: https://docs.kernel.org/userspace-api/landlock.html, "Previous limitations". */
int sandbox_restrict_files(void)
{
#ifdef SYS_landlock_create_ruleset
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
	struct landlock_ruleset ruleset = {.files = (1u << 13) - 1, .network = 3, .scoped = 3};
	size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
	int fd, result;

	if (INSTRUMENTED)
		return -ECANCELED;
	if (abi < 0)
		return -errno;
	ruleset.files |= (abi >= 2 ? 1u << 13 : 0) | (abi >= 3 ? 1u << 14 : 0) | (abi >= 5 ? 1u << 15 : 0);
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	if (fd < 0)
		return -errno;
	result = syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : abi;
	close(fd);
	return result;
#else
	return -ENOPKG;
#endif
}

void sandbox_close(struct sandbox_state *state)
{
	state->landlock = sandbox_restrict_files();
	state->system_calls = INSTRUMENTED ? -ECANCELED : sandbox_filter_system_calls();
	if (state->system_calls == 0)
		state->system_calls = 1;
}

/* ---- what is in force ---- */

void sandbox_warn(const struct sandbox_state *state)
{
	if (state->uid == 0)
		log_warning("sandbox: the router runs as root; \"user\" in the configuration names another user");
	if (!state->no_new_privs || state->capabilities)
		log_warning("sandbox: the router keeps privileges that it does not need");
	/* Either keeps it from files. */
	if (state->landlock < 0 && state->empty_root < 0)
		log_warning("sandbox: the router can reach files: Landlock: %s; an empty root directory: %s",
		    sandbox_why(state->landlock), sandbox_why(state->empty_root));
	if (state->system_calls < 0)
		log_warning("sandbox: the router can make every system call: seccomp: %s", sandbox_why(state->system_calls));
}
