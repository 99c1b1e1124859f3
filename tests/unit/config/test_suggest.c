#include "loading.h"

#include "config/suggest.h"

static const char *const known[] = {"address", "pool", "sticky", "ip", "head_timeout", "head_size", NULL};

static const struct {
	const char *word;
	const char *best;
} words[] = {
    {"adress", "address"},
    {"addres", "address"},
    {"addrses", "address"},
    {"Address", "address"},
    {"ADDRESS", "address"},
    {"pools", "pool"},
    {"polo", "pool"},
    {"head-timeout", "head_timeout"},
    {"headtimeout", "head_timeout"},
    {"head_siez", "head_size"},
    {"head_sticky", NULL},
    {"p", NULL},
    {"xx", NULL},
    {"i", NULL},
    {"", NULL},
    {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", NULL},
    {"\xff\xfe", NULL},
};

static void test_words(void **state)
{
	for (size_t i = 0; i < COUNT(words); i++) {
		struct suggest suggest;

		suggest_init(&suggest, words[i].word);
		for (size_t j = 0; known[j] != NULL; j++)
			suggest_offer(&suggest, known[j]);
		print_message("%s\n", words[i].word);
		if (words[i].best == NULL)
			assert_null(suggest.best);
		else
			assert_string_equal(suggest.best, words[i].best);
	}
}

static void test_closest_wins(void **state)
{
	struct suggest suggest;

	suggest_init(&suggest, "listenerz");
	suggest_offer(&suggest, "listen");
	suggest_offer(&suggest, "listener");
	suggest_offer(&suggest, "listeners");
	assert_string_equal(suggest.best, "listener");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_closest_wins)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
