// The common scenario in go-redis. It must never use anything of the client that its users would not, and never call a step
// that failed `ok`.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A condition that does not come within this time will not come.
const patience = 20 * time.Second

var (
	ctx    = context.Background()
	client *redis.Client
	made   func(change func(*redis.Options)) *redis.Client
	input  = bufio.NewReader(os.Stdin)
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func same(wanted, got any) {
	if !reflect.DeepEqual(wanted, got) {
		panic(fmt.Errorf("%#v was expected and not %#v", wanted, got))
	}
}

func refused(beginning string, err error) {
	if err == nil || !strings.HasPrefix(err.Error(), beginning) {
		panic(fmt.Errorf("%q was expected and not %v", beginning, err))
	}
}

func until(what string, isSo func() bool) {
	for begun := time.Now(); !isSo(); {
		if time.Since(begun) > patience {
			panic(fmt.Errorf("waited in vain: %s", what))
		}
	}
}

// Asks the runner to kill the server and to start it again, and waits until that is done.
func loseTheServer() {
	fmt.Println("kill")
	same("back", strings.TrimSpace(must(input.ReadString('\n'))))
}

func connect() {
	defaults := redis.NewClient(&redis.Options{Addr: client.Options().Addr})
	same("PONG", must(defaults.Ping(ctx).Result()))
	must(0, defaults.Close())
	byURL := redis.NewClient(must(redis.ParseURL("redis://" + client.Options().Addr + "/0")))
	same("PONG", must(byURL.Ping(ctx).Result()))
	must(0, byURL.Close())
	same("amy", must(client.ClientGetName(ctx).Result()))
	same(true, strings.Contains(must(client.Do(ctx, "CLIENT", "INFO").Text()), fmt.Sprintf("resp=%d", client.Options().Protocol)))
	same(true, strings.Contains(must(client.Info(ctx, "server").Result()), "redis_version:7.2"))
	same(map[string]string{"timeout": "0"}, must(client.ConfigGet(ctx, "timeout").Result()))
}

func stringValues() {
	same("OK", must(client.Set(ctx, "text", "ä € 😀", 0).Result()))
	same([]any{"ä € 😀", nil}, must(client.MGet(ctx, "text", "nothing").Result()))
	same(redis.Nil, client.Get(ctx, "nothing").Err())
	same(redis.Nil, client.SetArgs(ctx, "text", "other", redis.SetArgs{Mode: "NX"}).Err())
	same("ä € 😀", must(client.SetArgs(ctx, "text", "a", redis.SetArgs{Get: true}).Result()))
	same(int64(3), must(client.Append(ctx, "text", "bc").Result()))
	same("bc", must(client.GetRange(ctx, "text", 1, -1).Result()))
	value := strings.Repeat("\x00\r\nv", 1<<18)
	must(client.Set(ctx, "large", value, 0).Result())
	same(true, value == must(client.GetDel(ctx, "large").Result()))
}

func counters() {
	same(int64(42), must(client.IncrBy(ctx, "count", 42).Result()))
	same(int64(41), must(client.Decr(ctx, "count").Result()))
	same(0.1, must(client.IncrByFloat(ctx, "float", 0.1).Result()))
	same(int64(2), must(client.HIncrBy(ctx, "counts", "a", 2).Result()))
	same(2.5, must(client.HIncrByFloat(ctx, "counts", "a", 0.5).Result()))
}

func hashes() {
	same(int64(2), must(client.HSet(ctx, "hash", "name", "Amy", "age", 7).Result()))
	same(map[string]string{"name": "Amy", "age": "7"}, must(client.HGetAll(ctx, "hash").Result()))
	same(map[string]string{}, must(client.HGetAll(ctx, "nothing").Result()))
	var person struct {
		Name string `redis:"name"`
		Age  int    `redis:"age"`
	}
	must(0, client.HGetAll(ctx, "hash").Scan(&person))
	same("Amy 7", fmt.Sprint(person.Name, " ", person.Age))
	fields := map[string]bool{}
	for scan := client.HScan(ctx, "hash", 0, "", 10).Iterator(); scan.Next(ctx); {
		fields[scan.Val()] = true
	}
	same(map[string]bool{"name": true, "Amy": true, "age": true, "7": true}, fields)
	same(int64(1), must(client.HDel(ctx, "hash", "age").Result()))
	same([]redis.KeyValue{{Key: "name", Value: "Amy"}}, must(client.HRandFieldWithValues(ctx, "hash", 1).Result()))
}

func rows() {
	same(int64(2), must(client.HSet(ctx, "traveller:1", "name", "Amy", "miles", 10).Result()))
	same(int64(12), must(client.HIncrBy(ctx, "traveller:1", "miles", 2).Result()))
	same(map[string]string{"id": "1", "name": "Amy", "miles": "12"}, must(client.HGetAll(ctx, "traveller:1").Result()))
	event := redis.XAddArgs{Stream: "visit", Values: []any{"at", 1, "who", "amy"}}
	same(2, len(strings.Split(must(client.XAdd(ctx, &event).Result()), "-")))
	// It has landed in the one database.
	same(int64(1), must(client.Wait(ctx, 1, patience).Result()))
}

func expiry() {
	must(client.Set(ctx, "short", "v", 100*time.Second).Result())
	same(100*time.Second, must(client.TTL(ctx, "short").Result()))
	same(true, must(client.Persist(ctx, "short").Result()))
	same(time.Duration(-1), must(client.TTL(ctx, "short").Result()))
	same(true, must(client.ExpireNX(ctx, "short", 50*time.Second).Result()))
	same("v", must(client.GetEx(ctx, "short", time.Minute).Result()))
	same(true, must(client.PExpire(ctx, "short", 20*time.Millisecond).Result()))
	until("a key expires", func() bool { return must(client.Exists(ctx, "short").Result()) == 0 })
}

func keys() {
	pairs := []any{}
	for number := range 300 {
		pairs = append(pairs, "scan:"+strconv.Itoa(number), "v")
	}
	must(client.MSet(ctx, pairs...).Result())
	found := map[string]bool{}
	for scan := client.Scan(ctx, 0, "scan:*", 50).Iterator(); scan.Next(ctx); {
		found[scan.Val()] = true
	}
	same(300, len(found))
	same("hash", must(client.Type(ctx, "hash").Result()))
	same("OK", must(client.Rename(ctx, "scan:0", "renamed").Result()))
	same(int64(2), must(client.Del(ctx, "renamed", "scan:1", "nothing").Result()))
}

func transactions() {
	var sum *redis.IntCmd
	must(client.TxPipelined(ctx, func(transaction redis.Pipeliner) error {
		transaction.Set(ctx, "balance", 10, 0)
		sum = transaction.IncrBy(ctx, "balance", 5)
		return nil
	}))
	same(int64(15), sum.Val())
	change := func(disturbed bool) error {
		return client.Watch(ctx, func(watching *redis.Tx) error {
			balance := must(watching.Get(ctx, "balance").Int())
			if disturbed {
				must(client.Set(ctx, "balance", 1, 0).Result())
			}
			_, err := watching.TxPipelined(ctx, func(transaction redis.Pipeliner) error {
				return transaction.Set(ctx, "balance", balance+1, 0).Err()
			})
			return err
		}, "balance")
	}
	same(redis.TxFailedErr, change(true))
	same("1", must(client.Get(ctx, "balance").Result()))
	same(nil, change(false))
	same("2", must(client.Get(ctx, "balance").Result()))
}

func messages() {
	subscriber := client.Subscribe(ctx, "news")
	must(0, subscriber.PSubscribe(ctx, "news.*"))
	for range 2 {
		_ = must(subscriber.Receive(ctx)).(*redis.Subscription)
	}
	same(map[string]int64{"news": 1}, must(client.PubSubNumSub(ctx, "news").Result()))
	same(int64(1), must(client.Publish(ctx, "news", "one").Result()))
	same(int64(1), must(client.Publish(ctx, "news.sport", "two").Result()))
	for _, wanted := range []string{"news one", "news.sport two"} {
		message := must(subscriber.ReceiveMessage(ctx))
		same(wanted, message.Channel+" "+message.Payload)
	}
	must(0, subscriber.Close())
}

func pipelines() {
	replies := must(client.Pipelined(ctx, func(pipeline redis.Pipeliner) error {
		for number := range 1000 {
			pipeline.Set(ctx, "pipe:"+strconv.Itoa(number), number, 0)
			pipeline.Get(ctx, "pipe:"+strconv.Itoa(number))
		}
		return nil
	}))
	same(2000, len(replies))
	for number := range 1000 {
		same(strconv.Itoa(number), replies[2*number+1].(*redis.StringCmd).Val())
	}
}

func refusals() {
	must(client.Set(ctx, "text", "a", 0).Result())
	refused("WRONGTYPE", client.HGet(ctx, "text", "a").Err())
	refused("ERR value is not an integer", client.Incr(ctx, "text").Err())
	refused("ERR unknown command 'NOSUCH'", client.Do(ctx, "NOSUCH", "a").Err())
	replies, err := client.Pipelined(ctx, func(pipeline redis.Pipeliner) error {
		pipeline.Get(ctx, "text")
		pipeline.HGet(ctx, "text", "a")
		pipeline.Get(ctx, "text")
		return nil
	})
	refused("WRONGTYPE", err)
	same([]bool{true, false, true}, []bool{replies[0].Err() == nil, replies[1].Err() == nil, replies[2].Err() == nil})
	_, err = client.TxPipelined(ctx, func(transaction redis.Pipeliner) error {
		transaction.Set(ctx, "never", "v", 0)
		transaction.Do(ctx, "NOSUCH")
		return nil
	})
	same(true, err != nil)
	same(int64(0), must(client.Exists(ctx, "never").Result()))
	stranger := made(func(options *redis.Options) { options.Username, options.Password = "nobody", "wrong" })
	refused("WRONGPASS", stranger.Ping(ctx).Err())
	must(0, stranger.Close())
}

func reconnect() {
	subscriber := client.Subscribe(ctx, "after")
	_ = must(subscriber.Receive(ctx)).(*redis.Subscription)
	heard := subscriber.Channel()
	must(client.Set(ctx, "kept", "through kill -9", 0).Result())
	loseTheServer()
	until("the client connects again", func() bool {
		value, err := client.Get(ctx, "kept").Result()
		return err == nil && value == "through kill -9"
	})
	until("the subscription is made again", func() bool {
		must(client.Publish(ctx, "after", "again").Result())
		select {
		case message := <-heard:
			same("again", message.Payload)
			return true
		default:
			return false
		}
	})
	must(0, errors.Join(subscriber.Close(), client.Close()))
}

func run(name string, step func()) {
	defer func() {
		if why := recover(); why != nil {
			fmt.Printf("FAILED %s: %v\n", name, why)
		} else {
			fmt.Printf("ok %s\n", name)
		}
	}()
	step()
}

func main() {
	protocol := must(strconv.Atoi(os.Args[3]))
	made = func(change func(*redis.Options)) *redis.Client {
		options := redis.Options{Addr: os.Args[1] + ":" + os.Args[2], Protocol: protocol, ClientName: "amy"}
		change(&options)
		return redis.NewClient(&options)
	}
	client = made(func(*redis.Options) {})
	run("connect", connect)
	run("strings", stringValues)
	run("counters", counters)
	run("hashes", hashes)
	run("rows", rows)
	run("expiry", expiry)
	run("keys", keys)
	run("transactions", transactions)
	run("messages", messages)
	run("pipelines", pipelines)
	run("errors", refusals)
	run("reconnect", reconnect)
}
