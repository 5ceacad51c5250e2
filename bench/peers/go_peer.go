// Go's bufio.Scanner: sink | sink4 | greet.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
)

func sink(conn net.Conn) {
	scanner := bufio.NewScanner(conn) // drops a \r before the \n
	scanner.Buffer(make([]byte, 65536), 1<<20)
	frames, count := 0, 0
	for scanner.Scan() {
		frames++
		count += len(scanner.Bytes())
	}
	fmt.Fprintf(conn, "%d %d", frames, count)
}

func sink4(conn net.Conn) {
	reader := bufio.NewReaderSize(conn, 65536)
	frames, count := 0, 0
	for {
		head, err := reader.Peek(4)
		if err == io.EOF {
			break
		}
		length := int(binary.BigEndian.Uint32(head))
		reader.Discard(4)
		if _, err := reader.Peek(length); err != nil {
			break
		}
		reader.Discard(length)
		frames++
		count += length
	}
	fmt.Fprintf(conn, "%d %d", frames, count)
}

func greet(conn net.Conn) {
	reader := bufio.NewReaderSize(conn, 4096)
	writer := bufio.NewWriterSize(conn, 65536)
	var name []byte
	closes := false
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return
		}
		if bytes.HasPrefix(line, []byte("GET /")) {
			name = append(name[:0], line[5:bytes.IndexByte(line[5:], ' ')+5]...)
			continue
		}
		closes = closes || bytes.HasPrefix(line, []byte("Connection: close"))
		if len(line) > 2 {
			continue
		}
		fmt.Fprintf(writer, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n"+
			"<html>\r\n<body>\r\nHello %s! \r\n</body>\r\n</html>\r\n", len(name)+44, name)
		if reader.Buffered() == 0 || closes {
			writer.Flush()
		}
		if closes {
			return
		}
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	serve := map[string]func(net.Conn){"sink": sink, "sink4": sink4, "greet": greet}[os.Args[1]]
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}
