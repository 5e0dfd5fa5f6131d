// The common scenario in Jedis. It must never use anything of the client that its users would not, and never call a step
// that failed `ok`.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import redis.clients.jedis.AbstractTransaction;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisPubSub;
import redis.clients.jedis.Pipeline;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.Response;
import redis.clients.jedis.StreamEntryID;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.ScanParams;
import redis.clients.jedis.params.SetParams;
import redis.clients.jedis.resps.ScanResult;

public class Scenario {
    /** A condition that does not come within this time will not come. */
    static final int PATIENCE_SECONDS = 20;

    static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in));

    final HostAndPort address;
    final RedisProtocol protocol;
    final RedisClient client;

    interface Step {
        void run() throws Exception;
    }

    Scenario(String host, int port, String protocol) {
        this.address = new HostAndPort(host, port);
        this.protocol = protocol.equals("3") ? RedisProtocol.RESP3 : RedisProtocol.RESP2;
        this.client = RedisClient.builder().hostAndPort(address).clientConfig(config().clientName("amy").build()).build();
    }

    DefaultJedisClientConfig.Builder config() {
        return DefaultJedisClientConfig.builder().protocol(protocol);
    }

    static void same(Object wanted, Object got) {
        if (!Objects.equals(wanted, got)) {
            throw new IllegalStateException(wanted + " was expected and not " + got);
        }
    }

    static void refused(String beginning, Step step) throws Exception {
        try {
            step.run();
        } catch (JedisDataException error) {
            same(true, error.getMessage().startsWith(beginning));
            return;
        }
        throw new IllegalStateException(beginning + " was expected");
    }

    static void until(String what, BooleanSupplier isSo) {
        long begun = System.nanoTime();
        while (!isSo.getAsBoolean()) {
            if (System.nanoTime() - begun > TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS)) {
                throw new IllegalStateException("waited in vain: " + what);
            }
        }
    }

    /** Asks the runner to kill the server and to start it again, and waits until that is done. */
    static void loseTheServer() throws Exception {
        System.out.println("kill");
        same("back", INPUT.readLine());
    }

    void connect() {
        try (Jedis defaults = new Jedis(address.getHost(), address.getPort())) {
            same("PONG", defaults.ping());
            same(true, defaults.info("server").contains("redis_version:7.2"));
            same(Map.of("timeout", "0"), defaults.configGet("timeout"));
        }
        try (RedisClient byUrl = RedisClient.create("redis://" + address)) {
            same("PONG", byUrl.ping());
        }
        same("PONG", client.ping());
        Object name = client.sendCommand(Protocol.Command.CLIENT, "GETNAME");
        same("amy", new String((byte[]) name));
    }

    void strings() {
        same("OK", client.set("text", "ä € 😀"));
        same(Arrays.asList("ä € 😀", null), client.mget("text", "nothing"));
        same(null, client.set("text", "other", SetParams.setParams().nx()));
        same("ä € 😀", client.setGet("text", "a"));
        same(3L, client.append("text", "bc"));
        same("bc", client.getrange("text", 1, -1));
        byte[] value = new byte[1 << 20];
        for (int at = 0; at < value.length; at++) {
            value[at] = (byte) at;
        }
        client.set(new byte[] {0, 13, 10}, value);
        same(true, Arrays.equals(value, client.get(new byte[] {0, 13, 10})));
    }

    void counters() {
        same(42L, client.incrBy("count", 42));
        same(41L, client.decr("count"));
        same(0.1, client.incrByFloat("float", 0.1));
        same(2L, client.hincrBy("counts", "a", 2));
        same(2.5, client.hincrByFloat("counts", "a", 0.5));
    }

    void hashes() {
        same(2L, client.hset("hash", Map.of("name", "Amy", "age", "7")));
        same("Amy", client.hget("hash", "name"));
        same(Map.of("name", "Amy", "age", "7"), client.hgetAll("hash"));
        same(Map.of(), client.hgetAll("nothing"));
        Map<String, String> found = new TreeMap<>();
        client.hscan("hash", ScanParams.SCAN_POINTER_START).getResult().forEach(e -> found.put(e.getKey(), e.getValue()));
        same(Map.of("name", "Amy", "age", "7"), found);
        same(1L, client.hdel("hash", "age"));
        same("[name=Amy]", client.hrandfieldWithValues("hash", 1).toString());
    }

    void rows() {
        same(2L, client.hset("traveller:1", Map.of("name", "Amy", "miles", "10")));
        same(12L, client.hincrBy("traveller:1", "miles", 2));
        same(Map.of("id", "1", "name", "Amy", "miles", "12"), client.hgetAll("traveller:1"));
        StreamEntryID event = client.xadd("visit", StreamEntryID.NEW_ENTRY, Map.of("at", "1", "who", "amy"));
        same(true, event.getTime() > 0);
        // What other connections of the pool wrote lands with it in the one database.
        try (Jedis one = new Jedis(address, config().build())) {
            one.hset("traveller:1", "name", "Amy");
            same(1L, one.waitReplicas(1, 20_000));
        }
        until("the event has landed", () -> new String((byte[]) client.sendCommand(Protocol.Command.INFO, "landfall")).contains("pending_changes:0"));
    }

    void expiry() {
        client.set("short", "v", SetParams.setParams().ex(100));
        same(100L, client.ttl("short"));
        same(1L, client.persist("short"));
        same(-1L, client.ttl("short"));
        same(1L, client.pexpire("short", 20));
        until("a key expires", () -> !client.exists("short"));
    }

    void keys() {
        String[] pairs = new String[600];
        for (int number = 0; number < 300; number++) {
            pairs[2 * number] = "scan:" + number;
            pairs[2 * number + 1] = "v";
        }
        client.mset(pairs);
        TreeSet<String> found = new TreeSet<>();
        String cursor = ScanParams.SCAN_POINTER_START;
        do {
            ScanResult<String> page = client.scan(cursor, new ScanParams().match("scan:*").count(50));
            found.addAll(page.getResult());
            cursor = page.getCursor();
        } while (!cursor.equals(ScanParams.SCAN_POINTER_START));
        same(300, found.size());
        same("hash", client.type("hash"));
        same("OK", client.rename("scan:0", "renamed"));
        same(2L, client.del("renamed", "scan:1", "nothing"));
    }

    void transactions() {
        try (AbstractTransaction transaction = client.multi()) {
            transaction.set("balance", "10");
            Response<Long> sum = transaction.incrBy("balance", 5);
            same(Arrays.asList("OK", 15L), transaction.exec());
            same(15L, sum.get());
        }
        try (AbstractTransaction transaction = client.transaction(false)) {
            transaction.watch("balance");
            client.set("balance", "1");
            transaction.multi();
            transaction.set("balance", "16");
            same(null, transaction.exec());
        }
        same("1", client.get("balance"));
    }

    void messages() throws Exception {
        LinkedBlockingQueue<String> heard = new LinkedBlockingQueue<>();
        CountDownLatch listening = new CountDownLatch(1);
        JedisPubSub subscriber = new JedisPubSub() {
            @Override
            public void onSubscribe(String channel, int count) {
                listening.countDown();
            }

            @Override
            public void onMessage(String channel, String text) {
                heard.add(channel + " " + text);
            }
        };
        Thread listener = new Thread(() -> client.subscribe(subscriber, "news"));
        listener.setDaemon(true);
        listener.start();
        same(true, listening.await(PATIENCE_SECONDS, TimeUnit.SECONDS));
        same(1L, client.publish("news", "one"));
        same("news one", heard.poll(PATIENCE_SECONDS, TimeUnit.SECONDS));
        subscriber.unsubscribe();
        listener.join(PATIENCE_SECONDS * 1000L);
        same(0L, client.publish("news", "nobody listens"));
    }

    void pipelines() {
        List<Response<String>> values = new ArrayList<>();
        try (Pipeline pipeline = (Pipeline) client.pipelined()) {
            for (int number = 0; number < 1000; number++) {
                pipeline.set("pipe:" + number, String.valueOf(number));
                values.add(pipeline.get("pipe:" + number));
            }
            pipeline.sync();
        }
        for (int number = 0; number < 1000; number++) {
            same(String.valueOf(number), values.get(number).get());
        }
    }

    void errors() throws Exception {
        client.set("text", "a");
        refused("WRONGTYPE", () -> client.hget("text", "a"));
        refused("ERR value is not an integer", () -> client.incr("text"));
        refused("ERR unknown command 'NOSUCH'", () -> client.sendCommand(() -> "NOSUCH".getBytes(), "a"));
        try (Pipeline pipeline = (Pipeline) client.pipelined()) {
            Response<String> first = pipeline.get("text");
            Response<String> wrong = pipeline.hget("text", "a");
            Response<String> last = pipeline.get("text");
            pipeline.sync();
            same("a", first.get());
            refused("WRONGTYPE", wrong::get);
            same("a", last.get());
        }
        refused("WRONGPASS", () -> new Jedis(address, config().user("nobody").password("wrong").build()).ping());
        same("PONG", client.ping());
    }

    void reconnect() throws Exception {
        client.set("kept", "through kill -9");
        loseTheServer();
        until("the client connects again", () -> {
            try {
                return client.get("kept").equals("through kill -9");
            } catch (JedisConnectionException error) {
                return false; // A connection of the pool that was open before; the next attempt takes another.
            }
        });
        try (AbstractTransaction transaction = client.multi()) {
            transaction.set("kept", "2");
            transaction.get("kept");
            same(Arrays.asList("OK", "2"), transaction.exec());
        }
        client.close();
    }

    static void run(String name, Step step) {
        try {
            step.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            System.out.println("FAILED " + name + ": " + error + " " + Arrays.toString(error.getStackTrace()));
        }
    }

    public static void main(String[] arguments) {
        Scenario scenario = new Scenario(arguments[0], Integer.parseInt(arguments[1]), arguments[2]);
        run("connect", scenario::connect);
        run("strings", scenario::strings);
        run("counters", scenario::counters);
        run("hashes", scenario::hashes);
        run("rows", scenario::rows);
        run("expiry", scenario::expiry);
        run("keys", scenario::keys);
        run("transactions", scenario::transactions);
        run("messages", scenario::messages);
        run("pipelines", scenario::pipelines);
        run("errors", scenario::errors);
        run("reconnect", scenario::reconnect);
        System.exit(0);
    }
}
