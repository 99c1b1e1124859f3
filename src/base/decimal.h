/* Decimal numbers, written without printf(): for what is written once a connection. */
#ifndef LIMPET_BASE_DECIMAL_H
#define LIMPET_BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

/* The digits of UINT64_MAX. */
#define DECIMAL_MAX 20

/* Writes the digits, at most DECIMAL_MAX and no NUL; returns how many. */
static inline size_t decimal_write(char *to, uint64_t number)
{
	char digits[DECIMAL_MAX];
	size_t length = 0;

	do
		digits[length++] = (char)('0' + number % 10);
	while (number /= 10);
	for (size_t i = 0; i < length; i++)
		to[i] = digits[length - 1 - i];
	return length;
}

#endif
