# The common scenario in redis-rb. It must never use anything of the client that its users would not, and never call a step
# that failed `ok`.

require "redis"

HOST, PORT = ARGV[0], ARGV[1].to_i
# A condition that does not come within this time will not come.
PATIENCE_SECONDS = 20

def same(wanted, got)
  raise "#{wanted.inspect} was expected and not #{got.inspect}" unless wanted == got
end

def refused(beginning)
  got = yield
rescue Redis::BaseError => error
  raise unless error.message.start_with?(beginning)
else
  raise "#{beginning} was expected and not #{got.inspect}"
end

def wait_until(what)
  begun = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  until yield
    raise "waited in vain: #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) - begun > PATIENCE_SECONDS
  end
end

# Asks the runner to kill the server and to start it again, and waits until that is done.
def lose_the_server
  puts "kill"
  same("back", $stdin.gets.chomp)
end

def step(name)
  yield
  puts "ok #{name}"
rescue StandardError => error
  puts "FAILED #{name}: #{error.class}: #{error.message.lines.join(" ")} #{error.backtrace.first}"
end

$stdout.sync = true
client = Redis.new(host: HOST, port: PORT, id: "amy")

step "connect" do
  by_url = Redis.new(url: "redis://#{HOST}:#{PORT}/0")
  same("PONG", by_url.ping)
  by_url.close
  same("amy", client.call("CLIENT", "GETNAME"))
  same("7.2", client.info("server")["redis_version"][0, 3])
  same({ "timeout" => "0" }, client.config(:get, "timeout"))
end

step "strings" do
  same("OK", client.set("text", "ä € 😀"))
  same(["ä € 😀", nil], client.mget("text", "nothing"))
  same(false, client.set("text", "other", nx: true))
  same("ä € 😀", client.set("text", "a", get: true))
  same(3, client.append("text", "bc"))
  same("bc", client.getrange("text", 1, -1))
  value = (0..255).map(&:chr).join.b * 4096
  client.set("\x00\r\n", value)
  same(value, client.get("\x00\r\n").b)
end

step "counters" do
  same(42, client.incrby("count", 42))
  same(41, client.decr("count"))
  same(0.1, client.incrbyfloat("float", 0.1))
  same(2, client.hincrby("counts", "a", 2))
end

step "hashes" do
  same(2, client.hset("hash", { "name" => "Amy", "age" => 7 }))
  same({ "name" => "Amy", "age" => "7" }, client.hgetall("hash"))
  same({}, client.hgetall("nothing"))
  same({ "name" => "Amy" }, client.mapped_hmget("hash", "name"))
  same([%w[age 7], %w[name Amy]], client.hscan_each("hash").to_a.sort)
  same(1, client.hdel("hash", "age"))
end

step "rows" do
  same(2, client.hset("traveller:1", { "name" => "Amy", "miles" => 10 }))
  same(12, client.hincrby("traveller:1", "miles", 2))
  same({ "id" => "1", "name" => "Amy", "miles" => "12" }, client.hgetall("traveller:1"))
  same(2, client.xadd("visit", { "at" => 1, "who" => "amy" }).split("-").length)
  # It has landed in the one database.
  same(1, client.wait(1, 20_000))
end

step "expiry" do
  same("OK", client.set("short", "v", ex: 100))
  same(100, client.ttl("short"))
  same(true, client.persist("short"))
  same([-1, -2], [client.ttl("short"), client.ttl("nothing")])
  same("v", client.getex("short", px: 60_000))
  same(true, client.pexpire("short", 20))
  wait_until("a key expires") { client.exists("short").zero? }
end

step "keys" do
  client.mapped_mset((0...300).to_h { |number| ["scan:#{number}", "v"] })
  same(300, client.scan_each(match: "scan:*", count: 50).to_a.uniq.length)
  same("hash", client.type("hash"))
  same("OK", client.rename("scan:0", "renamed"))
  same(2, client.del("renamed", "scan:1", "nothing"))
end

step "transactions" do
  same(["OK", 15, "15"], client.multi { |all| all.set("balance", 10); all.incrby("balance", 5); all.get("balance") })
  other = Redis.new(host: HOST, port: PORT)
  disturbed = client.watch("balance") do
    other.set("balance", 1)
    client.multi { |all| all.set("balance", 16) }
  end
  same([nil, "1"], [disturbed, client.get("balance")])
  other.close
end

step "messages" do
  heard = []
  subscriber = Redis.new(host: HOST, port: PORT)
  subscriber.subscribe("news", "other") do |on|
    on.subscribe { |channel, count| client.publish("news", "one") if count == 2 && channel == "other" }
    on.message do |channel, text|
      heard << [channel, text]
      subscriber.unsubscribe
    end
  end
  same([%w[news one]], heard)
  same(0, client.publish("news", "nobody listens"))
  subscriber.close
end

step "pipelines" do
  replies = client.pipelined do |pipeline|
    1000.times do |number|
      pipeline.set("pipe:#{number}", number)
      pipeline.get("pipe:#{number}")
    end
  end
  same((0...1000).flat_map { |number| ["OK", number.to_s] }, replies)
end

step "errors" do
  client.set("text", "a")
  refused("WRONGTYPE") { client.hget("text", "a") }
  refused("ERR value is not an integer") { client.incr("text") }
  refused("ERR unknown command 'NOSUCH'") { client.call("NOSUCH", "a") }
  refused("WRONGTYPE") { client.pipelined { |all| all.get("text"); all.hget("text", "a"); all.get("text") } }
  refused("") { client.multi { |all| all.set("never", "v"); all.call("NOSUCH") } }
  same(0, client.exists("never"))
  refused("WRONGPASS") { Redis.new(host: HOST, port: PORT, username: "nobody", password: "wrong").ping }
  same("PONG", client.ping)
end

step "reconnect" do
  client.set("kept", "through kill -9")
  lose_the_server
  wait_until("the client connects again") do
    client.get("kept") == "through kill -9"
  rescue Redis::BaseConnectionError
    false
  end
  same(%w[OK 2], client.multi { |all| all.set("kept", 2); all.get("kept") })
end
