/* The hand-off of connections to workers, and the succession of routers, as a model for spin. It shows, over every order of
 * events and up to FAULTS faults, that
 *
 *   1  no connection is ever in the hands of two workers, and what one worker has read no other ever gets, dead or alive;
 *   2  no connection is lost: each comes to a worker, or is answered by a router, except those that a crashing router
 *      or a worker that breaks the protocol takes with it (marked `excused` below). What is parked it does not take with it;
 *   3  nothing comes to rest half way: in the end every slot has a worker that the router sends to, and no worker that was to
 *      finish is still there.
 *
 * What it stands for: router = src/router (worker.c, pool.c, connection.c, succession.c), supervisor = src/supervisor (process.c,
 * roll.c, router_process.c), worker = any program that takes a connection and acknowledges it before it reads from it.
 * With -DWARM it begins when all workers are ready, which leaves more room for faults, and so does -DPARKS=false, with which
 * nothing is ever parked.
 * A connection ceases to be parked and is handed off in one step here; a crash between the two would lose it.
 * Left out: windows, queues' bounds, the choice among workers (any that is usable may be chosen) and all time: what a timer would
 * do may happen at any moment.
 *
 * Each -DNAME below puts a mistake in; test_handoff.py checks that spin finds every one of them.
 *
 *   REDISPATCH_ON_LOSS    a lost channel is taken for a dead worker
 *   KEEP_ON_LOSS          what was sent over a channel that was given up is sent anew when the worker has ended
 *   LOSE_ON_SEND_ERROR    a failed send ends the channel before what the worker had said is read
 *   NO_LAST_WORDS         the same when the worker has ended
 *   LINGERING_READS       a router that has handed over goes on reading its channels
 *   IMPORT_GIVES_UP       a successor does not wait for its predecessor's end
 *   STARTS_BESIDE_FORMER  a crashed successor is replaced while its predecessor still works
 *   SENT_NOT_EXPORTED     a succession passes only what was not sent
 *   IDS_USED_AGAIN        a successor numbers its connections without regard to its predecessor's
 *   UNREADY_STAYS         a worker whose start a crashed router had half seen is left alone
 *   OLD_WORKER_FORGOTTEN  a new worker that ends at once leaves its slot empty, though the old one was not told to go
 *   DRAIN_FORGOTTEN       a new router does not repeat that a worker is to finish
 *   UNPARKED_LATE         what is handed off is parked for a moment longer
 *   NEVER_GIVEN_BACK      a new router does not get what its predecessor had parked
 *   PARKED_BY_FORMER      what a router had parked that has handed over since is given to a later one
 */
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef NC
#define NC 1             /* connections */
#endif
#define NS 2             /* slots */
#ifndef NW
#define NW (NS + FAULTS) /* workers that ever live */
#endif
#define NR (FAULTS + 1)   /* routers that ever live */

/* The kinds of fault; FIRST, SECOND and THIRD choose, so that more faults of fewer kinds can be looked at. */
#define DEATHS 1    /* of workers */
#define REFUSALS 2
#define CLOSES 4    /* a worker closes its channel and lives on */
#define BREAKS 8    /* a router gives a worker's channel up */
#define CRASHES 16  /* of routers */
#define RELOADS 32
#define ROLLS 64    /* a slot's worker is replaced */
#ifndef FIRST
#define FIRST 127
#endif
#ifndef SECOND
#define SECOND 127
#endif
#ifndef THIRD
#define THIRD 127
#endif
#define may(kind) \
	(faults > 0 && ((kind) & (faults == FAULTS -> FIRST : (faults == FAULTS - 1 -> SECOND : THIRD))))
#define NONE 255

mtype = { CONNECTION, DRAIN, ACK, REFUSE, READY, UP, GONE, REPLAYED, SUCCEED, LOST, HANDED_OVER, IMAGE, SENT, OPEN, END };

byte faults = FAULTS;

/* The kernel's. A message of a channel: type, number of the hand-off, channel that it was numbered by, connection. */
chan down[NW] = [NC + 2] of { mtype, byte, byte, byte };
chan up[NW] = [NC + 2] of { mtype, byte, byte };
chan told[NR] = [NW + 4] of { mtype, byte, bool, bool };
chan tells[NR] = [NW + 4] of { mtype, byte };
chan pipe[NR] = [2] of { mtype, byte, byte, byte }; /* to this router from its predecessor */
bool pipe_has_writer[NR];
bool backlog[NC] = true;

/* Worker processes. */
bool started[NW], alive[NW], closed[NW] /* has closed its channel */, ended[NW] /* gets a signal */;
byte slot_of[NW];

/* Routers. slot_worker: whom it sends to. */
bool router_alive[NR];
bool handing_over[NR];
byte slot_worker[NR * NS] = NONE;

/* The supervisor's. */
byte current = NONE, former = NONE, next_router = 0, next_worker = 0;
byte slot_process[NS] = NONE, slot_incoming[NS] = NONE;
bool ready[NW], reaped[NW], draining[NW];
bool exhausted; /* no further worker can be started in this model */

/* What became of the connections. */
byte owner[NC] = NONE;
bool answered[NC], excused[NC];

/* Copies that the supervisor keeps of what waits in a router. */
bool parked[NR * NC];
#ifndef PARKS
#define PARKS true
#endif
#define is_parked(n) parked[r * NC + n]

inline flush_down(w)
{
	do
	:: down[w]?_, _, _, _
	:: len(down[w]) == 0 -> break
	od
}

/* ---- workers ---- */

proctype worker(byte w)
{
	mtype type;
	byte id, epoch, c;
	bool told_ready = ready[w], drained;

end_worker:
	do
	:: atomic { alive[w] && !closed[w] && !told_ready -> told_ready = true; up[w]!READY, 0, 0 }
	:: atomic {
		alive[w] && !closed[w] && len(down[w]) > 0 ->
		down[w]?type, id, epoch, c;
		if
		:: type == DRAIN -> drained = true
		:: type == CONNECTION && !drained ->
			assert(owner[c] == NONE || !alive[owner[c]]); /* two workers have it */
			assert(owner[c] == NONE); /* another one has read from it */
			owner[c] = w;
			up[w]!ACK, id, epoch
		:: type == CONNECTION && (drained || may(REFUSALS)) ->
			if :: drained :: else -> faults-- fi;
			up[w]!REFUSE, id, epoch
		fi
		}
	:: atomic { alive[w] && !closed[w] && may(CLOSES) -> faults--; closed[w] = true; flush_down(w) }
	:: atomic {
		alive[w] && (drained || ended[w] || may(DEATHS)) ->
		if :: drained || ended[w] :: else -> faults-- fi;
		alive[w] = false;
		flush_down(w)
		}
	:: !alive[w] -> break
	od
}

/* ---- routers ---- */

#define NO_CHANNEL 0 /* not known, or not opened yet */
#define IS_OPEN 1
#define IS_BROKEN 2 /* not written to any more, still read */
#define IS_LOST 3

#define readable(w) (channel[w] == IS_OPEN || channel[w] == IS_BROKEN)
#define ended_by_worker(w) (!alive[w] || closed[w])
#define usable(w) (channel[w] == IS_OPEN && !drained[w] && slot_worker[r * NS + slot_of[w]] == w && len(down[w]) < NC + 2)

/* While one worker takes over from another, the old one may be needed again. */
inline leaves_slot(n)
{
	if
	:: slot_worker[r * NS + slot_of[n]] == n ->
		slot_worker[r * NS + slot_of[n]] = NONE;
#ifndef OLD_WORKER_FORGOTTEN
		for (c : 0 .. NW - 1) {
			if
			:: c != n && slot_of[c] == slot_of[n] && heard_ready[c] && !drained[c] && readable(c) ->
				slot_worker[r * NS + slot_of[n]] = c
			:: else
			fi
		};
		c = 0
#endif
	:: else
	fi
}

/* by_worker: the end of the stream, behind all that the worker said */
inline lose(w, by_worker)
{
	channel[w] = IS_LOST;
	leaves_slot(w);
	tells[r]!LOST, w;
	for (c : 0 .. NC - 1) {
		if
		:: state[c] == SENT && to[c] == w ->
#ifdef REDISPATCH_ON_LOSS
			state[c] = OPEN
#else
#ifndef KEEP_ON_LOSS
			if
			:: !by_worker -> state[c] = 0; excused[c] = true
			:: else
			fi
#else
			skip
#endif
#endif
		:: else
		fi
	}
}

inline hand_off(n, w)
{
	if
	:: ended_by_worker(w) ->
#ifdef LOSE_ON_SEND_ERROR
		lose(w, true)
#else
		channel[w] = IS_BROKEN
#endif
	:: else ->
		give_id(n);
#ifndef UNPARKED_LATE
		is_parked(n) = false;
#endif
		down[w]!CONNECTION, id_of[n], epoch_of[w], n;
		state[n] = SENT;
		to[n] = w
	fi
}

/* Unique among all routers, or only within this one. */
inline give_id(n)
{
#ifdef IDS_USED_AGAIN
	id_of[n] = 0;
	if
	:: state[1 - n] == SENT && id_of[1 - n] == 0 -> id_of[n] = 1
	:: else
	fi
#else
	id_of[n] = r * NC + n
#endif
}

inline hear(w)
{
	up[w]?type, id, epoch;
	if
	:: type == READY ->
		heard_ready[w] = true;
		if
		:: !drained[w] -> slot_worker[r * NS + slot_of[w]] = w
		:: else
		fi;
		if
		:: tells[r]!READY, w
		:: may(CRASHES) -> faults--; crashing = true /* it had no time to tell */
		fi
	:: else ->
		for (c : 0 .. NC - 1) {
			if
			:: state[c] == SENT && to[c] == w && id_of[c] == id && epoch_of[w] == epoch ->
				state[c] = (type == ACK -> 0 : OPEN)
			:: else
			fi
		}
	fi
}

inline open_anew(w)
{
	channel[w] = IS_OPEN;
	epoch_of[w] = r;
#ifndef DRAIN_FORGOTTEN
	if
	:: drained[w] && !ended_by_worker(w) -> down[w]!DRAIN, 0, 0, 0
	:: else
	fi
#endif
}

inline worker_gone(w)
{
#ifndef NO_LAST_WORDS
	do
	:: readable(w) && len(up[w]) > 0 -> hear(w)
	:: else -> break
	od;
#endif
	channel[w] = NO_CHANNEL;
	leaves_slot(w);
	for (c : 0 .. NC - 1) {
		if
		:: state[c] == SENT && to[c] == w -> state[c] = OPEN
		:: else
		fi
	};
	heard_ready[w] = false
}

inline hear_supervisor()
{
	told[r]?type, w, is_ready, is_drained;
	if
	:: type == UP ->
		known[w] = true;
		drained[w] = is_drained;
		heard_ready[w] = is_ready;
		if
		:: is_ready && !is_drained -> slot_worker[r * NS + slot_of[w]] = w
		:: else
		fi;
		if
		:: !starting -> open_anew(w)
		:: else
		fi
	:: type == GONE -> worker_gone(w); known[w] = false
	:: type == DRAIN ->
		drained[w] = true;
		leaves_slot(w);
		if
		:: channel[w] == IS_OPEN && !ended_by_worker(w) -> down[w]!DRAIN, 0, 0, 0
		:: else
		fi
	:: type == REPLAYED -> starting = false
	:: type == SUCCEED -> handing_over[r] = true
	fi;
	type = 0; w = 0; is_ready = false; is_drained = false
}

/* What a router takes with it: its own connections, and those that were on their way to it. */
inline excuse_all()
{
	for (c : 0 .. NC - 1) {
		if
		/* A former one's may be with its successor already. */
		:: state[c] && !(is_parked(c) && former != r) -> excused[c] = true; state[c] = 0
		:: state[c] && is_parked(c) && former != r -> state[c] = 0
		:: else
		fi
	};
	do
	:: len(pipe[r]) > 0 ->
		pipe[r]?type, c, _, _;
		if
		:: type == SENT || type == OPEN -> excused[c] = true
		:: else
		fi
	:: len(pipe[r]) == 0 -> break
	od
}

#define dispatch(n, w) \
	:: atomic { !starting && !handing_over[r] && state[n] == OPEN && usable(w) -> hand_off(n, w); c = 0 }
#define from_worker(w) \
	:: atomic { !starting && !handing_over[r] && readable(w) && len(up[w]) > 0 -> hear(w); c = 0; id = 0; epoch = 0; type = 0 } \
	:: atomic { !starting && !handing_over[r] && readable(w) && len(up[w]) == 0 && ended_by_worker(w) -> lose(w, true); c = 0 } \
	:: atomic { !starting && !handing_over[r] && channel[w] == IS_OPEN && may(BREAKS) -> faults--; lose(w, false); c = 0 }
#define accepting(n) \
	:: atomic { !starting && !handing_over[r] && backlog[n] -> backlog[n] = false; state[n] = OPEN } \
	:: atomic { PARKS && !starting && !handing_over[r] && state[n] == OPEN && !is_parked(n) -> is_parked(n) = true } \
	unpark_later(n) \
	:: atomic { !starting && !handing_over[r] && state[n] == OPEN && nobody_usable -> \
		state[n] = 0; answered[n] = true; is_parked(n) = false }
#ifdef UNPARKED_LATE
#define unpark_later(n) :: atomic { !handing_over[r] && state[n] != OPEN && is_parked(n) -> is_parked(n) = false }
#else
#define unpark_later(n)
#endif
#if NW == 2
#define each_worker(what) what(0) what(1)
#define each_worker_of(what, n) what(n, 0) what(n, 1)
#define nobody_usable (!usable(0) && !usable(1))
#elif NW == 4
#define each_worker(what) what(0) what(1) what(2) what(3)
#define each_worker_of(what, n) what(n, 0) what(n, 1) what(n, 2) what(n, 3)
#define nobody_usable (!usable(0) && !usable(1) && !usable(2) && !usable(3))
#elif NW == 3
#define each_worker(what) what(0) what(1) what(2)
#define each_worker_of(what, n) what(n, 0) what(n, 1) what(n, 2)
#define nobody_usable (!usable(0) && !usable(1) && !usable(2))
#elif NW == 5
#define each_worker(what) what(0) what(1) what(2) what(3) what(4)
#define each_worker_of(what, n) what(n, 0) what(n, 1) what(n, 2) what(n, 3) what(n, 4)
#define nobody_usable (!usable(0) && !usable(1) && !usable(2) && !usable(3) && !usable(4))
#endif

/* A crash may come anywhere. */
#define crash_here :: atomic { may(CRASHES) -> faults--; goto crashed }

proctype router(byte r; bool succeeds)
{
	mtype type, state[NC];
	byte to[NC], id_of[NC], epoch_of[NW], channel[NW], c, w, id, epoch, at;
	bool known[NW], drained[NW], heard_ready[NW], is_ready, is_drained, starting = true, crashing;

	for (c : 0 .. NC - 1) {
		if
		:: is_parked(c) -> state[c] = OPEN
		:: else
		fi
	};
	c = 0;

	/* All that the supervisor knows is told first. */
	do
	:: atomic { starting && len(told[r]) > 0 -> hear_supervisor() }
	:: !starting -> break
	crash_here
	od;

	/* Import. */
	do
	:: atomic {
		succeeds && len(pipe[r]) > 0 ->
		pipe[r]?type, c, w, id;
		if
		:: type == IMAGE ->
			w = c;
			channel[w] = IS_OPEN;
			epoch_of[w] = id >> 2;
			drained[w] = drained[w] || (id & 1);
			heard_ready[w] = heard_ready[w] || (id & 2);
			if
			:: !known[w] -> channel[w] = NO_CHANNEL
			:: known[w] && (id & 2) && !drained[w] -> slot_worker[r * NS + slot_of[w]] = w
			:: else
			fi
		:: type == SENT -> state[c] = SENT; to[c] = w; id_of[c] = id; if :: !known[w] -> state[c] = OPEN :: else fi
		:: type == OPEN -> state[c] = OPEN
		:: type == END -> succeeds = false
		fi;
		type = 0; c = 0; w = 0; id = 0
		}
	:: atomic { succeeds && len(pipe[r]) == 0 && !pipe_has_writer[r] -> succeeds = false }
#ifdef IMPORT_GIVES_UP
	:: atomic { succeeds && may(CRASHES) -> faults--; excuse_all(); succeeds = false; type = 0; c = 0 }
#endif
	:: atomic {
		!succeeds ->
		for (w : 0 .. NW - 1) {
			if
			:: known[w] && channel[w] == NO_CHANNEL -> open_anew(w)
			:: else
			fi
		};
		w = 0;
		break
		}
	crash_here
	od;

	/* Work. */
end_work:
	do
	accepting(0)
	each_worker_of(dispatch, 0)
#if NC > 1
	accepting(1)
	each_worker_of(dispatch, 1)
#endif
	each_worker(from_worker)
	:: atomic { !handing_over[r] && len(told[r]) > 0 -> hear_supervisor() }
	:: handing_over[r] && !crashing -> break
	:: crashing -> goto crashed
	crash_here
	od;

	/* Export: channels, what was sent, what is open. The successor is the next router. */
	at = 0;
	do
	:: atomic { !router_alive[r + 1] -> excuse_all(); break }
	:: atomic {
		at < NW && router_alive[r + 1] && len(pipe[r + 1]) < 2 ->
		if
		:: known[at] && readable(at) ->
			pipe[r + 1]!IMAGE, at, 0,
			    (epoch_of[at] << 2) | (drained[at] -> 1 : 0) | (heard_ready[at] -> 2 : 0)
		:: else
		fi;
		at++
		}
	:: atomic {
		at >= NW && at < NW + NC && router_alive[r + 1] && len(pipe[r + 1]) < 2 ->
		c = at - NW;
		if
		:: state[c] == SENT ->
#ifndef SENT_NOT_EXPORTED
			pipe[r + 1]!SENT, c, to[c], id_of[c];
#endif
			state[c] = 0
		:: else
		fi;
		c = 0;
		at++
		}
	:: atomic {
		at >= NW + NC && at < NW + 2 * NC && router_alive[r + 1] && len(pipe[r + 1]) < 2 ->
		c = at - NW - NC;
		if
		:: state[c] == OPEN -> pipe[r + 1]!OPEN, c, 0, 0; state[c] = 0
		:: else
		fi;
		c = 0;
		at++
		}
	:: atomic { at == NW + 2 * NC && router_alive[r + 1] && len(pipe[r + 1]) < 2 -> pipe[r + 1]!END, 0, 0, 0; break }
	crash_here
	od;
	atomic { pipe_has_writer[r + 1] = false; tells[r]!HANDED_OVER, 0 };

	/* Lingering over answers that clients are to read. */
	do
#ifdef LINGERING_READS
	:: atomic { readable(0) && len(up[0]) > 0 -> up[0]?_, _, _ }
#endif
	:: atomic { router_alive[r] = false; break }
	od;
	goto done;

crashed:
	atomic {
		excuse_all();
		if
		:: r + 1 < NR -> pipe_has_writer[r + 1] = false
		:: else
		fi;
		router_alive[r] = false
	}
done:
	skip
}

/* ---- the supervisor ---- */

inline tell(message, w)
{
	if
	:: current != NONE && router_alive[current] -> told[current]!message, w, ready[w], draining[w]
	:: else
	fi
}

inline start_worker(place, s)
{
	if
	:: next_worker < NW ->
		place = next_worker;
		started[next_worker] = true;
		alive[next_worker] = true;
		slot_of[next_worker] = s;
		run worker(next_worker);
		next_worker++;
		tell(UP, place)
	:: else -> exhausted = true
	fi
}

/* What the router n had parked the next one gets, or nobody. */
inline unpark_all(n, given_back)
{
	for (w : 0 .. NC - 1) {
		if
		:: parked[n * NC + w] && given_back -> parked[n * NC + w] = false; parked[next_router * NC + w] = true
		:: parked[n * NC + w] && !given_back -> parked[n * NC + w] = false
		:: else
		fi
	};
	w = 0
}

inline start_router(from_former)
{
#ifndef NEVER_GIVEN_BACK
	if
	:: !from_former && current != NONE -> unpark_all(current, true)
	:: else
	fi;
#ifdef PARKED_BY_FORMER
	if
	:: !from_former && current != NONE && current > 0 -> unpark_all(current - 1, true)
	:: else
	fi;
#endif
#endif
	current = next_router;
	next_router++;
	router_alive[current] = true;
	pipe_has_writer[current] = from_former;
	run router(current, from_former);
	for (w : 0 .. NW - 1) {
		if
		:: started[w] && !reaped[w] -> told[current]!UP, w, ready[w], draining[w]
		:: else
		fi
	};
	told[current]!REPLAYED, 0, false, false;
	w = 0
}

/* A crashed router may have heard what a worker said at its start and told nobody: only a new start helps. */
inline end_unready()
{
#ifndef UNREADY_STAYS
	for (w : 0 .. NW - 1) {
		if
		:: started[w] && !reaped[w] && !ready[w] -> ended[w] = true
		:: else
		fi
	};
	w = 0
#else
	skip
#endif
}

#define from_router(n) \
	:: atomic { len(tells[n]) > 0 -> tells[n]?type, w; hear_router(n); type = 0; w = 0 }

inline hear_router(n)
{
	if
	:: type == READY ->
		s = slot_of[w];
		if
		:: !ready[w] && slot_incoming[s] == w && !ended[w] ->
			ready[w] = true;
			slot_incoming[s] = NONE;
			if
			:: slot_process[s] != NONE ->
				draining[slot_process[s]] = true;
				tell(DRAIN, slot_process[s])
			:: else
			fi;
			slot_process[s] = w
		:: else -> ready[w] = true
		fi;
		s = 0
	:: type == LOST -> ended[w] = true /* after kill_timeout, or drain_timeout */
	:: type == HANDED_OVER && former == n ->
		former = NONE;
#ifndef PARKED_BY_FORMER
		unpark_all(n, false)
#endif
	:: else
	fi
}

/* A worker has ended. */
#define reap(n) \
	:: atomic { started[n] && !alive[n] && !reaped[n] -> reap_worker(n); s = 0 }

inline reap_worker(n)
{
	reaped[n] = true;
	tell(GONE, n);
	s = slot_of[n];
	if
	:: slot_incoming[s] == n -> slot_incoming[s] = NONE
	:: slot_process[s] == n -> slot_process[s] = NONE
	:: else
	fi;
	if
	:: slot_process[s] == NONE && slot_incoming[s] == NONE -> start_worker(slot_process[s], s)
	:: else
	fi
}

#ifdef STARTS_BESIDE_FORMER
#define may_start true
#else
#define may_start (former == NONE)
#endif

proctype supervisor()
{
	mtype type;
	byte w, s;

	atomic {
#ifdef WARM
		ready[0] = true;
		ready[1] = true;
#endif
		start_worker(slot_process[0], 0);
		start_worker(slot_process[1], 1);
		start_router(false)
	}
end_supervise:
	do
	from_router(0)
	from_router(1)
#if NR > 2
	from_router(2)
#endif
#if NR > 3
	from_router(3)
#endif
	each_worker(reap)
	/* A router has ended; its last words were heard. */
	:: atomic {
		current != NONE && !router_alive[current] && len(tells[current]) == 0 && may_start ->
		end_unready();
		start_router(false)
		}
	:: atomic {
		former != NONE && !router_alive[former] && len(tells[former]) == 0 ->
		unpark_all(former, false);
		former = NONE;
		end_unready()
		}
	/* Reload. */
	:: atomic {
		may(RELOADS) && former == NONE && current != NONE && router_alive[current] ->
		faults--;
		former = current;
		told[former]!SUCCEED, 0, false, false;
		start_router(true)
		}
	/* A rolling restart of slot 0. */
	:: atomic {
		may(ROLLS) && slot_process[0] != NONE && ready[slot_process[0]] && slot_incoming[0] == NONE && next_worker < NW ->
		faults--;
		start_worker(slot_incoming[0], 0)
		}
	od
}

/* ---- what is to hold when nothing moves any more ---- */

proctype judge()
{
	byte i;

	timeout;
	for (i : 0 .. NC - 1) {
		assert(owner[i] != NONE || answered[i] || excused[i]) /* a connection is lost, or stuck */
	};
	for (i : 0 .. NS - 1) {
		assert(exhausted || slot_worker[current * NS + i] != NONE) /* a slot has no worker */
	};
	for (i : 0 .. NW - 1) {
		assert(!draining[i] || !alive[i]) /* a worker was not told to finish */
	}
}

init
{
	atomic { run supervisor(); run judge() }
}
