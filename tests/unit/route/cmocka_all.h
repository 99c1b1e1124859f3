/* cmocka and the headers that it wants before itself. */
#ifndef LIMPET_TESTS_UNIT_ROUTE_CMOCKA_ALL_H
#define LIMPET_TESTS_UNIT_ROUTE_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A string literal with all its NULs, without the last. */
#define BYTES(literal) (literal), sizeof(literal) - 1

/* An allocation of exactly this size, so that the sanitizers and valgrind see a read past the end. */
static inline char *exact_copy(const void *bytes, size_t length)
{
	char *copy = malloc(length ? length : 1);

	assert_non_null(copy);
	if (length)
		memcpy(copy, bytes, length);
	return copy;
}

#endif
