/* What kind of program a command runs, as far as its file tells: which of the ways to its accept() calls can
 * reach it. */
#ifndef LIMPET_SUPERVISOR_PROGRAM_H
#define LIMPET_SUPERVISOR_PROGRAM_H

enum program {
	PROGRAM_UNKNOWN, /* cannot be found or read, or is of another format; exec() says more */
	PROGRAM_DYNAMIC, /* dynamically linked with a C library that is not musl */
	PROGRAM_MUSL,    /* dynamically linked with musl */
	PROGRAM_STATIC,  /* statically linked: nothing can be preloaded into it */
	PROGRAM_GO,      /* built by Go's own compiler: it calls the kernel by itself, however it is linked */
};

/* Looks at the file that execvp() would run, with the present directory and PATH. Of a script it is the
 * interpreter that counts, of that one's interpreter again, a few times. What a program such as env or npm
 * runs in turn is not known here. Reads a bounded part of each file; a file that contradicts itself is
 * PROGRAM_UNKNOWN. */
enum program program_look(const char *command);

/* The same for one ELF file or script. */
enum program program_look_at(const char *path);

#endif
