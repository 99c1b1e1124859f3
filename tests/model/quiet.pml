/* Acknowledgements that a worker notes in shared memory while the front is busy (src/channel/accept_message.h), as a model for spin.
 * It shows, over every order of steps of front and worker, with the worker's death and one succession of routers anywhere, that
 *
 *   1  what the worker reads is not given to another, dead or alive;
 *   2  what it has taken is acknowledged in the end, to one router or the other.
 *
 * A step is one store or one load, in the order of the program: both sides use sequentially consistent atomics.
 *
 * Each -DNAME below puts a mistake in; test_quiet.py checks that spin finds every one of them.
 *
 *   ASKS_BEFORE_NOTING  the worker looks whether it is to be quiet before it notes
 *   LOOKS_TOO_SOON      the front looks before it ends the quiet, and not after it
 *   NO_LAST_LOOK        of a worker that has ended only the messages are read
 *   HANDS_OVER_QUIET    a router hands over without an end of the quiet
 */
#define N 3      /* connections */
#define ROUTERS 2

/* -DNO_DEATH: the worker lives. */
#ifdef NO_DEATH
#define dies false
#else
#define dies true
#endif

#ifndef FLIPS
#define FLIPS 2  /* times that the quiet begins */
#endif

bool quiet[ROUTERS];
bool noted[N];
byte memory[N];         /* whose router's */
chan down = [N] of { byte };
chan up = [N] of { byte };
bool read[N], given_to_another[N], acknowledged[N];
bool dead;

proctype worker()
{
	byte c;
	bool asked;

	do
	:: dies -> dead = true; break
	:: down?c;
		if
		:: dies -> dead = true; break
		:: skip
		fi;
#ifdef ASKS_BEFORE_NOTING
		asked = quiet[memory[c]];
		noted[c] = true;
#else
		noted[c] = true;
		if
		:: dies -> dead = true; break
		:: skip
		fi;
		asked = quiet[memory[c]];
#endif
		if
		:: asked
		:: else -> up!c
		fi;
		assert(!given_to_another[c]);
		read[c] = true
	:: timeout -> break
	od
}

byte router, sent, flips, i;

/* Only in its own memory, and only at what it knows is under way. */
inline look()
{
	i = 0;
	do
	:: i < sent ->
		if
		:: !acknowledged[i] && memory[i] == router && noted[i] -> acknowledged[i] = true
		:: else
		fi;
		i++
	:: else -> break
	od
}

inline end_quiet()
{
#ifdef LOOKS_TOO_SOON
	look();
	quiet[router] = false
#else
	quiet[router] = false;
	look()
#endif
}

proctype front()
{
	byte c;

	do
	:: sent < N ->
		memory[sent] = router;
		sent++;
		down!(sent - 1)
	:: flips < FLIPS && !quiet[router] -> flips++; quiet[router] = true
	:: quiet[router] -> end_quiet()
	:: up?c -> acknowledged[c] = true
	:: router + 1 < ROUTERS ->
#ifndef HANDS_OVER_QUIET
		end_quiet();
#endif
		router++
	:: dead && len(up) == 0 -> break
	:: timeout -> break
	od;
	if
	:: dead && len(up) == 0 ->
#ifndef NO_LAST_LOOK
		look();
#endif
		i = 0;
		do
		:: i < sent ->
			if
			:: !acknowledged[i] ->
				assert(!read[i]);
				given_to_another[i] = true
			:: else
			fi;
			i++
		:: else -> break
		od
	:: else ->
		i = 0;
		do
		:: i < sent -> assert(acknowledged[i]); i++
		:: else -> break
		od
	fi
}

init
{
	atomic { run worker(); run front() }
}
