# ruby webrick.rb PORT
require "webrick"
require "json"
server = WEBrick::HTTPServer.new(Port: ARGV[0].to_i, BindAddress: "127.0.0.1", AccessLog: [])
server.mount_proc("/") { |request, response|
  response.body = JSON.dump({pid: Process.pid, slot: ENV["LIMPET_SLOT"], peer: request.remote_ip}) }
trap("TERM") { server.shutdown }
server.start
