#include "loading.h"

static const struct bad_text bad[] = {
    {"{\"pools\":{\"p\":{\"command\":[\"node\"]}}}",
        "1:26: pools.p.command: node needs a script: Node's cluster workers take their server from a file, "
        "as in \"node server.js\""},
    {"{\"pools\":{\"p\":{\"command\":[\"/usr/bin/nodejs\"]}}}",
        "1:26: pools.p.command: /usr/bin/nodejs needs a script: Node's cluster workers take their server "
        "from a file, as in \"node server.js\""},
    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"--inspect\"]}}}",
        "1:26: pools.p.command: node needs a script: Node's cluster workers take their server from a file, "
        "as in \"node server.js\""},
    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"-e\",\"x()\"]}}}",
        "1:26: pools.p.command: node needs a script: Node's cluster workers take their server from a file, "
        "as in \"node server.js\""},
    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"-r\",\"./x.js\"]}}}",
        "1:26: pools.p.command: node needs a script: Node's cluster workers take their server from a file, "
        "as in \"node server.js\""},
    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"\"]}}}",
        "1:26: pools.p.command: node needs a script: Node's cluster workers take their server from a file, "
        "as in \"node server.js\""},
    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"-e\"]}}}",
        "1:26: pools.p.command: node needs a script: Node's cluster workers take their server from a file, "
        "as in \"node server.js\""},
    {"{\"pools\":{\"p\":{\"command\":[\"npm\"],\n\"protocol\": \"tcp\"}}}",
        "2:13: pools.p.protocol: \"tcp\" is none of node-cluster, node-ipc, limpet, accept"},
    {"{\"pools\":{\"p\":{\"command\":[\"npm\"],\n\"protocol\": \"node_cluster\"}}}",
        "2:13: pools.p.protocol: \"node_cluster\" is none of node-cluster, node-ipc, limpet, accept; did you mean "
        "\"node-cluster\"?"},
    {"{\"pools\":{\"p\":{\"command\":[\"npm\"],\n\"protocol\": 1}}}",
        "2:13: pools.p.protocol: must be a string, not a number"},
    {"{\"pools\":{\"p\":{\"command\":[\"a\"],\n\"protocol\": "
     "\"node-ipc\"}},\"listeners\":{\"w\":{\"address\":\"80\"}}}",
        "2:13: pools.p.protocol: node-ipc needs a \"flavour\": sticky-session, sticky-cluster, "
        "sticky-session:connection, socket.io, sticky-listen or limpet:connection"},
    {POOL("\"flavour\": \"socket.io\""),
        "2:1: pools.p.flavour: goes with protocol node-ipc only; this pool has node-cluster"},
    {POOL("\"flavour\": \"socketio\", \"protocol\": \"limpet\""),
        "1:11: pools.p: cannot be reached: workers of protocol limpet do not say where to listen; add a "
        "listener with an \"address\" and this \"pool\"\n"
        "2:1: pools.p.flavour: goes with protocol node-ipc only; this pool has limpet\n"
        "2:12: pools.p.flavour: \"socketio\" is none of sticky-session, sticky-cluster, "
        "sticky-session:connection, socket.io, sticky-listen, limpet:connection; did you mean \"socket.io\"?"},
    {"{\"pools\":{\"p\":{\"command\":[\"a\"],\"protocol\":\"limpet\"}}}",
        "1:11: pools.p: cannot be reached: workers of protocol limpet do not say where to listen; add a "
        "listener with an \"address\" and this \"pool\""},
    {"{\"pools\":{\"p\":{\"command\":[\"a\"],\"protocol\":\"limpet\"}},\"listeners\":{\"w\":{\"sticky\":"
     "\"ip\"}}}",
        "1:11: pools.p: cannot be reached: workers of protocol limpet do not say where to listen; add a "
        "listener with an \"address\" and this \"pool\""},
    {"{\"pools\":{\"p\":{\"command\":[\"a\"],\"protocol\":\"node-ipc\",\"flavour\":\"sticky-session\"}}}",
        "1:11: pools.p: cannot be reached: workers of protocol node-ipc do not say where to listen; add a "
        "listener with an \"address\" and this \"pool\""},
    {"{\"pools\":{\"p\":{\"command\":[\"a\"],\"protocol\":\"node-ipc\",\"flavour\":\"sticky-cluster\"}}}",
        "1:11: pools.p: cannot be reached: workers of protocol node-ipc do not say where to listen; add a "
        "listener with an \"address\" and this \"pool\""},
    {"{\"pools\":{\"p\":{\"command\":[\"a\"],\"protocol\":\"node-ipc\",\"flavour\":\"sticky-session:"
     "connection\"}}}",
        "1:11: pools.p: cannot be reached: workers of protocol node-ipc do not say where to listen; add a "
        "listener with an \"address\" and this \"pool\""},
    {"{\"pools\":{\"p\":{\"command\":[\"a\"],\"protocol\":\"node-ipc\",\"flavour\":\"socket.io\"}}}",
        "1:11: pools.p: cannot be reached: workers of protocol node-ipc do not say where to listen; add a "
        "listener with an \"address\" and this \"pool\""},
    {"{\"pools\":{\"p\":{\"command\":[\"a\"],\"protocol\":\"node-ipc\",\"flavour\":\"sticky-listen\"}}}",
        "1:11: pools.p: cannot be reached: workers of protocol node-ipc do not say where to listen; add a "
        "listener with an \"address\" and this \"pool\""},
    {POOL("\"user\": \"no-such-user-here\", \"group\": \"no-such-group-here\""),
        "2:9: pools.p.user: there is no user \"no-such-user-here\"\n"
        "2:39: pools.p.group: there is no group \"no-such-group-here\""},
};

static void test_bad(void **state)
{
	check_bad(bad, COUNT(bad), 0);
}

static void test_good(void **state)
{
	static const struct {
		const char *text;
		enum protocol protocol;
		enum flavour flavour;
	} good[] = {
	    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"a.js\"]}}}", PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"/usr/bin/node\",\"a.js\"]}}}", PROTOCOL_NODE_CLUSTER,
	        FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"nodejs\",\"a\"]}}}", PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"--inspect\",\"-r\",\"./x.js\",\"a.js\"]}}}",
	        PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"./node\",\"-e\",\"x()\",\"a\"]}}}", PROTOCOL_NODE_CLUSTER,
	        FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"npm\",\"x\"]}}}", PROTOCOL_ACCEPT, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"python3\",\"x\"]}}}", PROTOCOL_ACCEPT, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"/usr/bin/nodemon\"]}}}", PROTOCOL_ACCEPT, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"a.js\"],\"protocol\":\"accept\"}}}", PROTOCOL_ACCEPT, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"npm\",\"start\"],\"protocol\":\"node-cluster\"}}}",
	        PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"env\",\"A=b\",\"node\"],\"protocol\":\"node-cluster\"}}}",
	        PROTOCOL_NODE_CLUSTER, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"node\"],\"protocol\":\"limpet\"}},\"listeners\":{\"w\":{"
	     "\"address\":\"80\"}}}",
	        PROTOCOL_LIMPET, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"python3\"],\"protocol\":\"limpet\"}},\"listeners\":{\"w\":{"
	     "\"address\":\"80\"}}}",
	        PROTOCOL_LIMPET, FLAVOUR_NONE},
	    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"a.js\"],\"protocol\":\"node-ipc\",\"flavour\":"
	     "\"sticky-session\"}},\"listeners\":{\"w\":{\"address\":\"80\"}}}",
	        PROTOCOL_NODE_IPC, FLAVOUR_STICKY_SESSION},
	    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"a.js\"],\"protocol\":\"node-ipc\",\"flavour\":"
	     "\"sticky-cluster\"}},\"listeners\":{\"w\":{\"address\":\"80\"}}}",
	        PROTOCOL_NODE_IPC, FLAVOUR_STICKY_CLUSTER},
	    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"a.js\"],\"protocol\":\"node-ipc\",\"flavour\":"
	     "\"sticky-session:connection\"}},\"listeners\":{\"w\":{\"address\":\"80\"}}}",
	        PROTOCOL_NODE_IPC, FLAVOUR_STICKY_SESSION_CONNECTION},
	    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"a.js\"],\"protocol\":\"node-ipc\",\"flavour\":"
	     "\"socket.io\"}},\"listeners\":{\"w\":{\"address\":\"80\"}}}",
	        PROTOCOL_NODE_IPC, FLAVOUR_SOCKET_IO},
	    {"{\"pools\":{\"p\":{\"command\":[\"node\",\"a.js\"],\"protocol\":\"node-ipc\",\"flavour\":"
	     "\"sticky-listen\"}},\"listeners\":{\"w\":{\"address\":\"80\"}}}",
	        PROTOCOL_NODE_IPC, FLAVOUR_STICKY_LISTEN},
	};

	for (size_t i = 0; i < COUNT(good); i++) {
		struct config *config = load_good(good[i].text);

		print_message("%s\n", good[i].text);
		assert_int_equal(config->pools[0].protocol, good[i].protocol);
		assert_int_equal(config->pools[0].flavour, good[i].flavour);
		config_free(config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
