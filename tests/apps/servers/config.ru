# Rack: puma, unicorn, thin
require "json"
run lambda { |env| [200, {"content-type" => "application/json"},
  [JSON.dump({pid: Process.pid, slot: ENV["LIMPET_SLOT"], peer: env["REMOTE_ADDR"]})]] }
