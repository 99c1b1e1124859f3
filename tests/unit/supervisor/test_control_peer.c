#include "supervisor/control_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static const struct {
	struct control_owner owner;
	uid_t uid;
	gid_t gid;
	gid_t groups[3];
	size_t count;
	bool allowed;
} cases[] = {
    {{1000, 50, false}, 0, 0, {0}, 0, true},
    {{1000, 50, false}, 1000, 1000, {0}, 0, true},
    {{1000, 50, false}, 1001, 1001, {0}, 0, false},
    {{1000, 50, false}, 1001, 50, {50}, 1, false},
    {{1000, 50, true}, 1001, 50, {0}, 0, true},
    {{1000, 50, true}, 1001, 1001, {7, 8, 50}, 3, true},
    {{1000, 50, true}, 1001, 1001, {7, 8, 50}, 2, false},
    {{1000, 50, true}, 1001, 1001, {0}, 0, false},
    {{0, 0, false}, 1001, 0, {0}, 1, false},
    {{0, 0, false}, (uid_t)-1, (gid_t)-1, {0}, 0, false},
};

static void test_who_is_allowed(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("case %zu\n", i);
		assert_int_equal(control_peer_allowed(&cases[i].owner, cases[i].uid, cases[i].gid, cases[i].groups,
				     cases[i].count),
		    cases[i].allowed);
	}
}

static void test_the_kernel_says_who_it_is(void **state)
{
	struct control_owner owner = {.uid = geteuid()};
	struct ucred peer;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_true(control_peer_check(&owner, ends[0], &peer));
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(peer.pid, getpid());
	close(ends[0]);
	close(ends[1]);
}

static void test_no_socket_at_all(void **state)
{
	struct control_owner owner = {.uid = geteuid()};
	struct ucred peer;

	assert_false(control_peer_check(&owner, -1, &peer));
	assert_int_equal(peer.pid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_who_is_allowed),
	    cmocka_unit_test(test_the_kernel_says_who_it_is), cmocka_unit_test(test_no_socket_at_all)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
