/* Edit distance with transpositions (optimal string alignment), case ignored; words of bounded length only.
 */
#include "config/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define WORD_MAX 32
#define DISTANCE_MAX 2

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];

	for (unsigned i = 0; i <= a_length; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= b_length; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		for (size_t j = 1; j <= b_length; j++) {
			unsigned change = same(a[i - 1], b[j - 1]) ? 0 : 1;

			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]) &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[a_length][b_length];
}

void suggest_init(struct suggest *suggest, const char *word)
{
	suggest->word = word;
	suggest->best = NULL;
	suggest->distance = DISTANCE_MAX + 1;
}

void suggest_offer(struct suggest *suggest, const char *candidate)
{
	size_t word_length = strnlen(suggest->word, WORD_MAX + 1);
	size_t length = strnlen(candidate, WORD_MAX + 1);
	unsigned found;

	if (word_length > WORD_MAX || length > WORD_MAX)
		return;
	found = distance(suggest->word, word_length, candidate, length);
	/* Two changes make any short word into any other. */
	if (found >= suggest->distance || found * 2 >= length)
		return;
	suggest->distance = found;
	suggest->best = candidate;
}
