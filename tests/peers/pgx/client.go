// What tests/tests/clients.rs asks of every client, through pgx.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/gofrs/uuid"
	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

var background = context.Background()

func main() {
	category, protocol, path := os.Args[1], os.Args[2], os.Args[3]
	count, err := strconv.Atoi(os.Args[4])
	check(err)
	stream := category + "-1"

	settings := ""
	if protocol == "text" {
		settings = "prefer_simple_protocol=true"
	} else if path == "transaction" {
		settings = "statement_cache_mode=describe"
	}
	connection, err := pgx.Connect(background, settings)
	check(err)
	defer connection.Close(background)

	for number := 0; number < 3; number++ {
		position, err := write(connection, stream, number, number-1)
		check(err)
		fmt.Println("write", position)
	}

	read(connection, stream)

	_, err = write(connection, stream, 0, 7)
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		fmt.Println("conflict", refused.Code, refused.Message)
	}

	fmt.Println("following")
	position := int64(0)
	for seen := 0; seen < count; {
		rows, err := connection.Query(background,
			"SELECT global_position FROM message_store.get_category_messages($1, $2, $3)",
			category, position+1, 10)
		check(err)
		for rows.Next() {
			check(rows.Scan(&position))
			seen++
			fmt.Println("follow", position)
		}
		check(rows.Err())
	}
	fmt.Println("done")
}

func write(connection *pgx.Conn, stream string, number int, expectedVersion int) (int64, error) {
	id, err := uuid.NewV4()
	check(err)
	data, err := json.Marshal(map[string]int{"number": number})
	check(err)
	var position int64
	err = connection.QueryRow(background,
		"SELECT message_store.write_message($1, $2, $3, $4, $5, $6)",
		id.String(), stream, "Noted", string(data), nil, expectedVersion).Scan(&position)
	return position, err
}

func read(connection *pgx.Conn, stream string) {
	rows, err := connection.Query(background,
		"SELECT position, type, data FROM message_store.get_stream_messages($1, $2, $3)",
		stream, 0, 1000)
	check(err)
	defer rows.Close()
	format := "text"
	if rows.FieldDescriptions()[0].Format == pgx.BinaryFormatCode {
		format = "binary"
	}
	fmt.Println("format", format)
	for rows.Next() {
		var position int64
		var kind, text string
		check(rows.Scan(&position, &kind, &text))
		var data struct{ Number int }
		check(json.Unmarshal([]byte(text), &data))
		fmt.Println("read", position, kind, data.Number)
	}
	check(rows.Err())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
