#include "loading.h"

static const struct bad_text bad[] = {
    {"[]", "1:1: must be an object, not a list"},
    {"{}", "1:1: lacks the key \"pools\""},
    {"{\"pools\": {}}", "1:11: pools: is empty"},
    {"{\"pools\": []}", "1:11: pools: must be an object of names, not a list"},
    {"{\"pools\": {\"p\": []}}", "1:17: pools.p: must be an object, not a list"},
    {"{\"pools\": {\"p\": {}}}", "1:17: pools.p: lacks the key \"command\""},
    {TOP("\"listener\": {}"), "2:1: listener: unknown key; did you mean \"listeners\"?"},
    {TOP("\"workers\": 4"), "2:1: workers: unknown key here; it belongs into pools.NAME.workers"},
    {TOP("\"level\": \"info\""), "2:1: level: unknown key here; it belongs into log.level"},
    {TOP("\"colour\": \"red\""), "2:1: colour: unknown key"},
    {TOP("\"colour\\u001b[31m\": \"red\""), "2:1: colour?[31m: unknown key"},
    {TOP("\"/ comment\": 1"), "2:1: / comment: unknown key"},
    {TOP("\"user\": \"root\", \"user\": \"x\", \"pools\": {}"),
        "2:17: user: is there twice; the first is in line 2\n"
        "2:30: pools: is there twice; the first is in line 1"},
    {POOL("\"environment\": {\"A\": \"\", \"A\": \"\"}, \"weights\": {\"0\": 1, \"0\": 2}"),
        "2:26: pools.p.environment.A: is there twice; the first is in line 2\n"
        "2:56: pools.p.weights.0: is there twice; the first is in line 2"},
    {TOP("\"listeners\": [\"web\"]"), "2:14: listeners: must be an object of names, not a list"},
    {TOP("\"listeners\": {\"w\": \"80\"}"), "2:20: listeners.w: must be an object, not a string"},
    {TOP("\"listeners\": {\"my web\": {}}"),
        "2:15: listeners.my web: a name has 1 to 64 characters: letters, digits, '.', '_' and '-'"},
    {TOP("\"listeners\": {\"\": {}}"),
        "2:15: listeners.: a name has 1 to 64 characters: letters, digits, '.', '_' and '-'"},
    {TOP("\"listeners\": {\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\": {}}"),
        "2:15: listeners.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: a name has 1 to "
        "64 characters: letters, digits, '.', '_' and '-'"},
    {LISTENER("\"adress\": \"80\", \"Pool\": \"p\""),
        "2:1: listeners.w.adress: unknown key; did you mean \"address\"?\n"
        "2:17: listeners.w.Pool: unknown key; did you mean \"pool\"?"},
    {LISTENER("\"pool\": 1"), "2:9: listeners.w.pool: must be a string, the name of a pool, not a number"},
    {LISTENER("\"pool\": \"q\""), "2:9: listeners.w.pool: there is no pool \"q\""},
    {"{\"pools\":{\"chat\":{\"command\":[\"node\",\"a.js\"]},\"docs\":{\"command\":[\"node\",\"a.js\"]}},"
     "\n\"listeners\":{\"a\":{\"address\":\"80\",\"pool\":\"chatt\"},\"b\":{\"address\":\"81\"},\"c\":{"
     "\"address\":\"82\",\"pool\":\"x\"}}}",
        "2:41: listeners.a.pool: there is no pool \"chatt\"; did you mean \"chat\"?\n"
        "2:54: listeners.b: lacks the key \"pool\"; there are 2 pools to choose from\n"
        "2:98: listeners.c.pool: there is no pool \"x\""},
    {TOP("\"listeners\": {\"a0\": {}, \"a1\": {}, \"a2\": {}, \"a3\": {}, \"a4\": {}, \"a5\": {}, \"a6\": "
         "{}, \"a7\": {}, \"a8\": {}, \"a9\": {}, \"a10\": {}, \"a11\": {}, \"a12\": {}, \"a13\": {}, "
         "\"a14\": {}, \"a15\": {}, \"a16\": {}, \"a17\": {}, \"a18\": {}, \"a19\": {}, \"a20\": {}, "
         "\"a21\": {}, \"a22\": {}, \"a23\": {}, \"a24\": {}, \"a25\": {}, \"a26\": {}, \"a27\": {}, "
         "\"a28\": {}, \"a29\": {}, \"a30\": {}, \"a31\": {}, \"a32\": {}, \"a33\": {}, \"a34\": {}, "
         "\"a35\": {}, \"a36\": {}, \"a37\": {}, \"a38\": {}, \"a39\": {}, \"a40\": {}, \"a41\": {}, "
         "\"a42\": {}, \"a43\": {}, \"a44\": {}, \"a45\": {}, \"a46\": {}, \"a47\": {}, \"a48\": {}, "
         "\"a49\": {}, \"a50\": {}, \"a51\": {}, \"a52\": {}, \"a53\": {}, \"a54\": {}, \"a55\": {}, "
         "\"a56\": {}, \"a57\": {}, \"a58\": {}, \"a59\": {}, \"a60\": {}, \"a61\": {}, \"a62\": {}, "
         "\"a63\": {}, \"a64\": {}, \"a65\": {}, \"a66\": {}, \"a67\": {}, \"a68\": {}, \"a69\": {}, "
         "\"a70\": {}, \"a71\": {}, \"a72\": {}, \"a73\": {}, \"a74\": {}, \"a75\": {}, \"a76\": {}, "
         "\"a77\": {}, \"a78\": {}, \"a79\": {}, \"a80\": {}, \"a81\": {}, \"a82\": {}, \"a83\": {}, "
         "\"a84\": {}, \"a85\": {}, \"a86\": {}, \"a87\": {}, \"a88\": {}, \"a89\": {}, \"a90\": {}, "
         "\"a91\": {}, \"a92\": {}, \"a93\": {}, \"a94\": {}, \"a95\": {}, \"a96\": {}, \"a97\": {}, "
         "\"a98\": {}, \"a99\": {}, \"a100\": {}, \"a101\": {}, \"a102\": {}, \"a103\": {}, \"a104\": {}, "
         "\"a105\": {}, \"a106\": {}, \"a107\": {}, \"a108\": {}, \"a109\": {}, \"a110\": {}, \"a111\": {}, "
         "\"a112\": {}, \"a113\": {}, \"a114\": {}, \"a115\": {}, \"a116\": {}, \"a117\": {}, \"a118\": {}, "
         "\"a119\": {}, \"a120\": {}, \"a121\": {}, \"a122\": {}, \"a123\": {}, \"a124\": {}, \"a125\": {}, "
         "\"a126\": {}, \"a127\": {}, \"a128\": {}, \"a129\": {}, \"a130\": {}, \"a131\": {}, \"a132\": {}, "
         "\"a133\": {}, \"a134\": {}, \"a135\": {}, \"a136\": {}, \"a137\": {}, \"a138\": {}, \"a139\": {}, "
         "\"a140\": {}, \"a141\": {}, \"a142\": {}, \"a143\": {}, \"a144\": {}, \"a145\": {}, \"a146\": {}, "
         "\"a147\": {}, \"a148\": {}, \"a149\": {}, \"a150\": {}, \"a151\": {}, \"a152\": {}, \"a153\": {}, "
         "\"a154\": {}, \"a155\": {}, \"a156\": {}, \"a157\": {}, \"a158\": {}, \"a159\": {}, \"a160\": {}, "
         "\"a161\": {}, \"a162\": {}, \"a163\": {}, \"a164\": {}, \"a165\": {}, \"a166\": {}, \"a167\": {}, "
         "\"a168\": {}, \"a169\": {}, \"a170\": {}, \"a171\": {}, \"a172\": {}, \"a173\": {}, \"a174\": {}, "
         "\"a175\": {}, \"a176\": {}, \"a177\": {}, \"a178\": {}, \"a179\": {}, \"a180\": {}, \"a181\": {}, "
         "\"a182\": {}, \"a183\": {}, \"a184\": {}, \"a185\": {}, \"a186\": {}, \"a187\": {}, \"a188\": {}, "
         "\"a189\": {}, \"a190\": {}, \"a191\": {}, \"a192\": {}, \"a193\": {}, \"a194\": {}, \"a195\": {}, "
         "\"a196\": {}, \"a197\": {}, \"a198\": {}, \"a199\": {}, \"a200\": {}, \"a201\": {}, \"a202\": {}, "
         "\"a203\": {}, \"a204\": {}, \"a205\": {}, \"a206\": {}, \"a207\": {}, \"a208\": {}, \"a209\": {}, "
         "\"a210\": {}, \"a211\": {}, \"a212\": {}, \"a213\": {}, \"a214\": {}, \"a215\": {}, \"a216\": {}, "
         "\"a217\": {}, \"a218\": {}, \"a219\": {}, \"a220\": {}, \"a221\": {}, \"a222\": {}, \"a223\": {}, "
         "\"a224\": {}, \"a225\": {}, \"a226\": {}, \"a227\": {}, \"a228\": {}, \"a229\": {}, \"a230\": {}, "
         "\"a231\": {}, \"a232\": {}, \"a233\": {}, \"a234\": {}, \"a235\": {}, \"a236\": {}, \"a237\": {}, "
         "\"a238\": {}, \"a239\": {}, \"a240\": {}, \"a241\": {}, \"a242\": {}, \"a243\": {}, \"a244\": {}, "
         "\"a245\": {}, \"a246\": {}, \"a247\": {}, \"a248\": {}, \"a249\": {}, \"a250\": {}, \"a251\": {}, "
         "\"a252\": {}, \"a253\": {}, \"a254\": {}, \"a255\": {}, \"a256\": {}}"),
        "2:14: listeners: has 257 entries; at most 256 are allowed"},
};

static void test_bad(void **state)
{
	check_bad(bad, COUNT(bad), 0);
}

static void test_good(void **state)
{
	struct config *config = load_good(
	    "{\"// a\": 1, \"//\": 2, \"//\": {\"x\": []}, \"listeners\": {\"//\": 1,"
	    "\"worker\": {\"pool\": \"b\", \"sticky\": {\"cookie\": \"c\"}, \"//\": 1},"
	    "\"one\": {\"pool\": \"a\", \"address\": \"80\"}, \"two\": {\"pool\": \"a\", \"address\": "
	    "\"81\"}},"
	    "\"pools\": {\"//\": 1, \"a\": {\"command\": [\"node\", \"a.js\"], \"weights\": {\"//\": 1}},"
	    "\"b\": {\"command\": [\"node\", \"b.js\"], \"environment\": {\"//\": 1}}}}");

	/* Those with an address come first, in the order of the file. */
	assert_int_equal(config->listeners_count, 3);
	assert_string_equal(config->listeners[0].name, "one");
	assert_string_equal(config->listeners[1].name, "two");
	assert_string_equal(config->listeners[2].name, "worker");
	assert_false(config->listeners[2].has_address);
	assert_int_equal(config->pools_count, 2);
	assert_string_equal(config->pools[0].name, "a");
	assert_ptr_equal(config->listeners[0].pool, &config->pools[0]);
	assert_ptr_equal(config->listeners[2].pool, &config->pools[1]);
	assert_true(config->pools[0].has_listeners);
	assert_false(config->pools[1].has_listeners);
	assert_ptr_equal(config->pools[1].worker_listener, &config->listeners[2]);
	/* Without one of its own a pool gets the defaults. */
	assert_string_equal(config->pools[0].worker_listener->name, "a");
	assert_ptr_equal(config->pools[0].worker_listener->pool, &config->pools[0]);
	assert_int_equal(config->pools[0].worker_listener->sticky_count, 1);
	assert_int_equal(config->pools[0].worker_listener->head_size, 16384);
	config_free(config);
}

static void test_only_pool_is_implied(void **state)
{
	struct config *config = load_good(LISTENER("\"address\": \"80\""));

	assert_ptr_equal(config->listeners[0].pool, &config->pools[0]);
	config_free(config);
}

/* Nothing in a file of the largest size takes more than linear time, or more than a bounded number of lines.
 */
static void test_many_problems(void **state)
{
	size_t size = 1024 * 1024;
	char *text = malloc(size);
	size_t used = (size_t)snprintf(text, size, "{\"listeners\": {\"w\": {");
	struct config *config;
	char *messages;

	for (unsigned i = 0; used < size - 64; i++)
		used += (size_t)snprintf(text + used, size - used, "\"addres%x\":0,", i);
	used += (size_t)snprintf(text + used, size - used, "\"x\":0}}}");
	messages = load_bytes(&config, text, used, 0);
	assert_null(config);
	assert_true(strlen(messages) < 64 * 1024);
	assert_non_null(strstr(messages, "more problems\n"));
	free(messages);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good),
	    cmocka_unit_test(test_only_pool_is_implied), cmocka_unit_test(test_many_problems),
	    cmocka_unit_test(test_bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
