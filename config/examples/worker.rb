require "json"
require "socket"

front = UNIXSocket.for_fd(Integer(ENV["LIMPET_FD"]))
tell = ->(message) { front.sendmsg(JSON.generate(message)) }

def serve(client)
  client.readpartial(65536)
  client.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nslot #{ENV["LIMPET_SLOT"]}\n")
rescue EOFError, SystemCallError
ensure
  client.close
end

tell.(type: "hello", version: 1)
tell.(type: "ready")
loop do
  data, _, _, *rest = front.recvmsg(8192, 0, 64, scm_rights: true)
  message = data.to_s.empty? ? { "type" => "drain" } : JSON.parse(data)
  client = rest.flat_map { |control| control.unix_rights || [] }.first
  case message["type"]
  when "connection"
    tell.(type: client ? "ack" : "refuse", id: message["id"])
    Thread.new { serve(client) } if client
  when "ping" then tell.(type: "pong", id: message["id"])
  when "drain" then break
  end
end
(Thread.list - [Thread.current]).each(&:join)
