#include "supervisor/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "manager.h"

/* The fds that a service manager passes have fixed numbers, from 3 on: the tests put theirs there, and what the test program has
 * there itself is kept above. */
#define FIRST_FD 3
#define FDS_MAX 8

static struct manager manager;
static struct notify notify;
static struct activation activation;

static int setup(void **state)
{
	int keep;

	for (int fd = FIRST_FD; fd < FIRST_FD + FDS_MAX; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return -1;
	/* So that the manager's socket is out of the way. */
	keep = open("/dev/null", O_RDONLY);
	manager_open(&manager);
	close(keep);
	keep = fcntl(manager.fd, F_DUPFD_CLOEXEC, FIRST_FD + FDS_MAX);
	close(manager.fd);
	manager.fd = keep;
	notify_init(&notify, manager.name);
	activation_init(&activation, &notify);
	return 0;
}

static int teardown(void **state)
{
	activation_deinit(&activation);
	manager_close(&manager);
	return 0;
}

static struct address address_of(int fd)
{
	struct address address = {.length = sizeof(address.un)};

	assert_int_equal(getsockname(fd, &address.sa, &address.length), 0);
	return address;
}

/* Bound, and listening if it is a stream socket. */
static int bound(const char *where, int type)
{
	struct address address;
	int fd;

	assert_int_equal(address_parse(&address, where, NULL), 0);
	fd = socket(address_family(&address), type, 0);
	assert_int_equal(bind(fd, &address.sa, address.length), 0);
	if (type != SOCK_DGRAM)
		assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static int pass(int count, const char *names)
{
	char text[16];
	int result;

	snprintf(text, sizeof(text), "%ld", (long)getpid());
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%d", count);
	setenv("LISTEN_FDS", text, 1);
	if (names)
		setenv("LISTEN_FDNAMES", names, 1);
	result = activation_take(&activation);
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
	return result;
}

static struct inherited *claim(const char *stored, const char *listener, const struct address *address, int type)
{
	struct activation_wanted wanted = {
	    .stored = stored, .listener = listener, .address = address, .socket_type = type};

	return activation_claim(&activation, &wanted);
}

static int claimed_fd(const char *stored, const char *listener, const struct address *address, int type)
{
	struct inherited *inherited = claim(stored, listener, address, type);
	int fd = inherited ? inherited->fd : -1;

	if (inherited)
		inherited_free(inherited);
	return fd;
}

static void test_variables(void **state)
{
	static const struct {
		const char *pid; /* "self": ours */
		const char *fds;
		int result;
	} cases[] = {
	    {NULL, NULL, 0},
	    {NULL, "1", 0},
	    {"1", "1", 0},
	    {"x", "1", 0},
	    {"self", NULL, 0},
	    {"self", "0", 0},
	    {"self", "", -EINVAL},
	    {"self", "-1", -EINVAL},
	    {"self", "1x", -EINVAL},
	    {"self", "99999999999999999999", -EINVAL},
	    {"self", "2147483647", -EINVAL},
	    {"self", "2000000000", -EINVAL}, /* none is open */
	};
	char self[16];

	snprintf(self, sizeof(self), "%ld", (long)getpid());
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *pid = cases[i].pid && strcmp(cases[i].pid, "self") == 0 ? self : cases[i].pid;

		if (pid)
			setenv("LISTEN_PID", pid, 1);
		if (cases[i].fds)
			setenv("LISTEN_FDS", cases[i].fds, 1);
		setenv("LISTEN_FDNAMES", "a:b", 1);
		assert_int_equal(activation_take(&activation), cases[i].result);
		assert_true(TAILQ_EMPTY(&activation.sockets));
		assert_null(getenv("LISTEN_PID"));
		assert_null(getenv("LISTEN_FDS"));
		assert_null(getenv("LISTEN_FDNAMES"));
	}
}

static void test_fds_that_are_of_no_use(void **state)
{
	struct address address;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pass(1, "pipe"), -EINVAL);
	close(ends[1]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(pass(1, "connected"), -EINVAL);
	close(ends[1]);

	assert_int_equal(bound("@limpet-test-seqpacket", SOCK_SEQPACKET), FIRST_FD);
	assert_int_equal(pass(1, NULL), -EINVAL);

	assert_int_equal(bound("127.0.0.1:0", SOCK_STREAM), FIRST_FD);
	address = address_of(FIRST_FD);
	assert_int_equal(pass(2, "good:not open"), -EINVAL);
	assert_int_equal(claimed_fd(NULL, NULL, &address, SOCK_STREAM), FIRST_FD);
}

static void test_taken_sockets_do_not_block_and_are_not_inherited(void **state)
{
	assert_int_equal(bound("127.0.0.1:0", SOCK_STREAM), FIRST_FD);
	assert_int_equal(pass(1, NULL), 0);
	assert_true(fcntl(FIRST_FD, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(FIRST_FD, F_GETFD) & FD_CLOEXEC);
}

static void test_which_socket_a_listener_gets(void **state)
{
	struct address by_address, by_listener, by_stored, udp, other;

	address_parse(&other, "127.0.0.2:1", NULL);
	assert_int_equal(bound("127.0.0.1:0", SOCK_STREAM), 3);
	assert_int_equal(bound("127.0.0.1:0", SOCK_STREAM), 4);
	assert_int_equal(bound("127.0.0.1:0", SOCK_STREAM), 5);
	assert_int_equal(bound("127.0.0.1:0", SOCK_DGRAM), 6);
	by_listener = address_of(3);
	by_address = address_of(4);
	by_stored = address_of(5);
	udp = address_of(6);
	assert_int_equal(pass(4, "web:limpet.socket:limpet-stored/listener/x:limpet.socket"), 0);

	/* Nothing of the kind. */
	assert_null(claim("limpet-stored/listener/y", "other", &other, SOCK_STREAM));
	assert_null(claim(NULL, NULL, &other, SOCK_STREAM));
	assert_null(claim("limpet-stored/listener/x", "web", &other, SOCK_DGRAM));
	assert_null(claim(NULL, NULL, &udp, SOCK_STREAM));
	/* A listener of the configuration that happens to be called like a stored socket. */
	assert_null(claim(NULL, "limpet-stored/listener/x", &other, SOCK_STREAM));
	/* The stored name comes before the address, the address before the listener's name. */
	assert_int_equal(claimed_fd("limpet-stored/listener/x", "web", &by_address, SOCK_STREAM), 5);
	assert_int_equal(claimed_fd("limpet-stored/listener/x", "web", &by_address, SOCK_STREAM), 4);
	assert_int_equal(claimed_fd("limpet-stored/listener/x", "web", &other, SOCK_STREAM), 3);
	assert_int_equal(claimed_fd(NULL, NULL, &udp, SOCK_DGRAM), 6);
	assert_true(TAILQ_EMPTY(&activation.sockets));
	assert_null(claim(NULL, NULL, &by_listener, SOCK_STREAM));
	assert_null(claim(NULL, NULL, &by_stored, SOCK_STREAM));
}

static void test_both_families_or_one(void **state)
{
	struct activation_wanted wanted = {.socket_type = SOCK_STREAM, .ipv6_only = true};
	struct inherited *inherited;
	struct address address;
	int fd = bound("[::]:0", SOCK_STREAM);

	assert_int_equal(fd, FIRST_FD);
	address = address_of(fd);
	wanted.address = &address;
	/* A stored socket is limpet's own, and must be as it would make it now. */
	assert_int_equal(pass(1, "limpet-stored/listener/x"), 0);
	assert_null(activation_claim(&activation, &wanted));
	wanted.ipv6_only = false;
	inherited = activation_claim(&activation, &wanted);
	assert_non_null(inherited);
	/* A given one is the administrator's. */
	assert_int_equal(activation_add(&activation, inherited->fd, "limpet.socket"), 0);
	inherited->fd = -1;
	inherited_free(inherited);
	wanted.ipv6_only = true;
	assert_int_equal(claimed_fd(NULL, NULL, &address, SOCK_STREAM), FIRST_FD);
}

static void test_stored_socket_whose_path_is_gone(void **state)
{
	char path[64];
	struct address address;

	snprintf(path, sizeof(path), "/tmp/limpet-test-%ld.sock", (long)getpid());
	assert_int_equal(bound(path, SOCK_STREAM), FIRST_FD);
	address = address_of(FIRST_FD);
	assert_int_equal(pass(1, "limpet-stored/listener/p"), 0);
	unlink(path);
	assert_null(claim("limpet-stored/listener/p", NULL, &address, SOCK_STREAM));
	assert_string_equal(manager_read(&manager), "FDSTOREREMOVE=1\nFDNAME=limpet-stored/listener/p");
	assert_true(TAILQ_EMPTY(&activation.sockets));
	assert_int_equal(fcntl(FIRST_FD, F_GETFD), -1);

	assert_int_equal(bound(path, SOCK_STREAM), FIRST_FD);
	assert_int_equal(pass(1, "limpet-stored/listener/p"), 0);
	assert_int_equal(claimed_fd("limpet-stored/listener/p", NULL, &address, SOCK_STREAM), FIRST_FD);
	unlink(path);
}

static void test_what_nobody_claims(void **state)
{
	char path[64];
	struct stat status;

	snprintf(path, sizeof(path), "/tmp/limpet-test-%ld.sock", (long)getpid());
	assert_int_equal(bound("127.0.0.1:0", SOCK_STREAM), 3);
	assert_int_equal(bound(path, SOCK_STREAM), 4);
	assert_int_equal(pass(2, "limpet.socket:limpet-stored/pool/chat/p"), 0);
	activation_settle(&activation);
	assert_string_equal(manager_read(&manager), "FDSTOREREMOVE=1\nFDNAME=limpet-stored/pool/chat/p");
	assert_int_equal(fcntl(4, F_GETFD), -1);
	assert_int_equal(lstat(path, &status), -1);
	/* What is given stays: somebody may listen there later. */
	assert_true(fcntl(3, F_GETFD) >= 0);
	activation_close(&activation);
	assert_int_equal(fcntl(3, F_GETFD), -1);
	assert_string_equal(manager_read(&manager), "");
}

static void test_stored_stay_with_the_manager_when_the_start_fails(void **state)
{
	assert_int_equal(bound("127.0.0.1:0", SOCK_STREAM), 3);
	assert_int_equal(pass(1, "limpet-stored/listener/x"), 0);
	activation_deinit(&activation);
	assert_int_equal(fcntl(3, F_GETFD), -1);
	assert_string_equal(manager_read(&manager), "");
}

static void test_names(void **state)
{
	static const struct {
		const char *kind, *first, *second, *name;
	} cases[] = {
	    {"listener", "web", "127.0.0.1:80", "limpet-stored/listener/web/127.0.0.1%3A80"},
	    {"listener", "a_b.c-d", "[::]:0", "limpet-stored/listener/a_b.c-d/[%3A%3A]%3A0"},
	    {"listener", "web", "unix:/run/a b.sock", "limpet-stored/listener/web/unix%3A/run/a%20b.sock"},
	    {"pool", "chat", "null:80:4::0", "limpet-stored/pool/chat/null%3A80%3A4%3A%3A0"},
	    {"pool", "chat", "a\nFDSTORE=1\x7f\xff%", "limpet-stored/pool/chat/a%0AFDSTORE%3D1%7F%FF%25"},
	    {"pool", "a/b", "c/d", "limpet-stored/pool/a%2Fb/c/d"},
	    {"pool", "a-b", "", "limpet-stored/pool/a-b/"},
	};
	char name[ACTIVATION_NAME_MAX + 1], key[512];

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_true(activation_name(name, cases[i].kind, cases[i].first, cases[i].second));
		assert_string_equal(name, cases[i].name);
	}
	memset(key, ':', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	assert_false(activation_name(name, "pool", "chat", key));
	key[70] = '\0';
	assert_true(activation_name(name, "pool", "chat", key));
	assert_in_range(strlen(name), 230, ACTIVATION_NAME_MAX);
}

static void test_store_and_forget(void **state)
{
	struct stat sent, received;
	int fd = bound("127.0.0.1:0", SOCK_STREAM);

	assert_int_equal(activation_store(&activation, fd, "limpet-stored/listener/x"), 0);
	assert_string_equal(manager_read(&manager), "FDSTORE=1\nFDNAME=limpet-stored/listener/x\nFDPOLL=0");
	assert_int_equal(fstat(fd, &sent), 0);
	assert_int_equal(fstat(manager.received, &received), 0);
	assert_int_equal(sent.st_ino, received.st_ino);
	close(fd);
	activation_forget(&activation, "limpet-stored/listener/x");
	assert_string_equal(manager_read(&manager), "FDSTOREREMOVE=1\nFDNAME=limpet-stored/listener/x");
	assert_int_equal(manager.received, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_variables),
	    TEST(test_fds_that_are_of_no_use),
	    TEST(test_taken_sockets_do_not_block_and_are_not_inherited),
	    TEST(test_which_socket_a_listener_gets),
	    TEST(test_both_families_or_one),
	    TEST(test_stored_socket_whose_path_is_gone),
	    TEST(test_what_nobody_claims),
	    TEST(test_stored_stay_with_the_manager_when_the_start_fails),
	    TEST(test_names),
	    TEST(test_store_and_forget),
	};

	/* What the test runner left open. */
	close_range(FIRST_FD, FIRST_FD + FDS_MAX - 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
