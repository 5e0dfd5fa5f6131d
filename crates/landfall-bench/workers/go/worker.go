// The worker that teams write by hand: takes 500 rows from a Redis list and upserts them in one statement.
// It commits before it takes more, and never knows what it had taken when it dies.
// Usage: worker REDIS_PORT POSTGRES_URL ROWS; prints "ready", then the seconds from the first row to the last.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const atOnce = 500

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(replies *bufio.Reader) int {
	line, err := replies.ReadString('\n')
	check(err)
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	check(err)
	return n
}

// statement is the insert of so many rows of six columns.
func statement(rows int) string {
	var sql strings.Builder
	sql.WriteString("INSERT INTO item (id, name, kind, price, stock, changed) VALUES ")
	for row := 0; row < rows; row++ {
		if row > 0 {
			sql.WriteString(",")
		}
		at := row * 6
		fmt.Fprintf(&sql, "($%d,$%d,$%d,$%d,$%d,$%d)", at+1, at+2, at+3, at+4, at+5, at+6)
	}
	sql.WriteString(" ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind," +
		" price = excluded.price, stock = excluded.stock, changed = excluded.changed")
	return sql.String()
}

func main() {
	left, err := strconv.Atoi(os.Args[3])
	check(err)
	redis, err := net.Dial("tcp", "127.0.0.1:"+os.Args[1])
	check(err)
	replies := bufio.NewReaderSize(redis, 1<<16)
	database, err := pgx.Connect(context.Background(), os.Args[2])
	check(err)
	full := statement(atOnce)
	fmt.Println("ready")
	var started time.Time
	for left > 0 {
		fmt.Fprintf(redis, "*3\r\n$4\r\nLPOP\r\n$5\r\nqueue\r\n$3\r\n%d\r\n", atOnce)
		count := number(replies)
		if count <= 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		if started.IsZero() {
			started = time.Now()
		}
		rows := make(map[int64][]any, count)
		for i := 0; i < count; i++ {
			body := make([]byte, number(replies)+2)
			_, err := io.ReadFull(replies, body)
			check(err)
			var id, price, stock int64
			var name, kind, changed string
			item := []any{&id, &name, &kind, &price, &stock, &changed}
			check(json.Unmarshal(body, &item))
			at, err := time.Parse(time.DateTime, changed)
			check(err)
			rows[id] = []any{id, name, kind, price, stock, at}
		}
		keys := make([]int64, 0, len(rows))
		for key := range rows {
			keys = append(keys, key)
		}
		sort.Slice(keys, func(a, b int) bool { return keys[a] < keys[b] })
		flat := make([]any, 0, len(rows)*6)
		for _, key := range keys {
			flat = append(flat, rows[key]...)
		}
		sql := full
		if len(rows) != atOnce {
			sql = statement(len(rows))
		}
		_, err = database.Exec(context.Background(), sql, flat...)
		check(err)
		left -= count
	}
	fmt.Println(time.Since(started).Seconds())
}
