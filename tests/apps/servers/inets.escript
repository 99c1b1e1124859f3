%% escript inets.escript PORT DIRECTORY: the web server of Erlang's own library
-module(limpet_answer).
-mode(compile).
-export([main/1, do/1]).
-include_lib("inets/include/httpd.hrl").

main([Port, Directory]) ->
    {ok, _} = application:ensure_all_started(inets),
    {ok, _} = inets:start(httpd, [{port, list_to_integer(Port)}, {bind_address, {127, 0, 0, 1}},
        {server_name, "inets"}, {server_root, Directory}, {document_root, Directory},
        {modules, [?MODULE]}]),
    timer:sleep(infinity).

do(Info) ->
    {_, Peer} = (Info#mod.init_data)#init_data.peername,
    Body = io_lib:format("{\"pid\": ~s, \"slot\": \"~s\", \"peer\": \"~s\"}",
        [os:getpid(), os:getenv("LIMPET_SLOT"), Peer]),
    {proceed, [{response, {200, lists:flatten(Body)}}]}.
