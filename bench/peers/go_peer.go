// Go: `go_peer <mode> ...`, see ../peers.ts for the modes. On one processor, like the other peers.
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
	"strconv"
	"time"
)

const maxFrameBytes = 1 << 28

var separators = map[string][]byte{"crlf": []byte("\r\n"), "lf": []byte("\n")}

// countLines counts lines that end with LF or CR LF.
func countLines(from io.Reader) (frames, size int) {
	s := bufio.NewScanner(from)
	s.Buffer(make([]byte, 65536), maxFrameBytes)
	for s.Scan() {
		frames++
		size += len(s.Bytes())
	}
	return
}

func lines(conn net.Conn) {
	frames, size := countLines(conn)
	conn.Close()
	fmt.Println(frames, size)
}

func prefixed(conn net.Conn) {
	from := bufio.NewReaderSize(conn, 65536)
	frames, size := 0, 0
	head := make([]byte, 4)
	body := []byte{}
	for {
		if _, err := io.ReadFull(from, head); err != nil {
			break
		}
		length := int(binary.BigEndian.Uint32(head))
		if length > cap(body) {
			body = make([]byte, length)
		}
		if _, err := io.ReadFull(from, body[:length]); err != nil {
			break
		}
		frames++
		size += length
	}
	conn.Close()
	fmt.Println(frames, size)
}

func echo(conn net.Conn) {
	s := bufio.NewReader(conn)
	to := bufio.NewWriter(conn)
	for {
		line, err := s.ReadSlice('\n')
		if err != nil {
			break
		}
		to.Write(line)
		if s.Buffered() == 0 {
			to.Flush()
		}
	}
	conn.Close()
}

func greet(conn net.Conn) {
	defer conn.Close()
	from := bufio.NewReader(conn)
	to := bufio.NewWriter(conn)
	for {
		request, err := from.ReadSlice('\n')
		if err != nil {
			return
		}
		name := string(bytes.Fields(request)[1][1:])
		last := false
		for {
			line, err := from.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
			last = last || bytes.EqualFold(bytes.TrimSpace(line), []byte("connection: close"))
		}
		page := "<html>\r\n<body>\r\nHello " + name + "! \r\n</body>\r\n</html>\r\n"
		to.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: ")
		to.WriteString(strconv.Itoa(len(page)))
		if last {
			to.WriteString("\r\nConnection: close")
		}
		to.WriteString("\r\n\r\n")
		to.WriteString(page)
		if from.Buffered() == 0 || last {
			to.Flush()
		}
		if last {
			return
		}
	}
}

// pieces reads the same bytes over and over, with a separator after each pass, until the time is over.
type pieces struct {
	data, separator  []byte
	at, times, piece int
	end              time.Time
}

func (p *pieces) Read(into []byte) (int, error) {
	if p.at == len(p.data)*p.times {
		p.at++
		return copy(into, p.separator), nil
	}
	if p.at > len(p.data)*p.times {
		if time.Now().After(p.end) {
			return 0, io.EOF
		}
		p.at = 0
	}
	rest := p.data[p.at%len(p.data):]
	if len(rest) > p.piece {
		rest = rest[:p.piece]
	}
	count := copy(into, rest)
	p.at += count
	return count, nil
}

func memory(separator, path string, times, piece int, seconds float64) {
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	run := func(seconds float64) string {
		start := time.Now()
		end := start.Add(time.Duration(seconds * 1e9))
		frames, size := countLines(&pieces{data, separators[separator], 0, times, piece, end})
		return fmt.Sprintln(frames, size, time.Since(start).Seconds())
	}
	run(seconds / 4)
	fmt.Print(run(seconds))
}

func main() {
	runtime.GOMAXPROCS(1)
	if os.Args[1] == "memory" {
		times, _ := strconv.Atoi(os.Args[4])
		piece, _ := strconv.Atoi(os.Args[5])
		seconds, _ := strconv.ParseFloat(os.Args[6], 64)
		memory(os.Args[2], os.Args[3], times, piece, seconds)
		return
	}
	handle := map[string]func(net.Conn){"lines": lines, "prefixed": prefixed, "echo": echo, "http": greet}[os.Args[1]]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go handle(conn)
	}
}
