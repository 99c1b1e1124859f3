/* What every fuzz target includes. A target is one file with LLVMFuzzerTestOneInput(): libFuzzer calls it
 * with inputs that it makes up, replay.c with the files of the committed corpus. */
#ifndef LIMPET_TESTS_FUZZ_FUZZ_H
#define LIMPET_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Returns 0. The bytes are borrowed, and NULL is possible if size is 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Holds in every build, unlike assert(). */
#define REQUIRE(condition)                                                                                   \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);        \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

#endif
