// An HTTP server of Go's own, net/http, as programs have it:  ./server ADDRESS
//
// It answers every request with who it is, in JSON. /hold keeps the connection and answers each further line with the pid.
// SIGTERM shuts it down: what is under way is finished.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func whoami(request *http.Request) []byte {
	local := request.Context().Value(http.LocalAddrContextKey).(net.Addr)
	body, _ := json.Marshal(map[string]any{"pid": os.Getpid(), "slot": os.Getenv("LIMPET_SLOT"),
		"peer": request.RemoteAddr, "local": local.String(), "listening": listening.Addr().String()})
	return body
}

func answer(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("Content-Type", "application/json")
	response.Write(whoami(request))
}

func hold(response http.ResponseWriter, request *http.Request) {
	connection, lines, err := response.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	body := whoami(request)
	fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	go talk(connection, lines.Reader)
}

func talk(connection net.Conn, lines *bufio.Reader) {
	defer connection.Close()
	for {
		if _, err := lines.ReadString('\n'); err != nil {
			return
		}
		connection.Write([]byte(strconv.Itoa(os.Getpid()) + "\n"))
	}
}

var listening net.Listener

func main() {
	var err error
	if listening, err = net.Listen("tcp", os.Args[len(os.Args)-1]); err != nil {
		log.Fatal(err)
	}
	if files, err := strconv.Atoi(os.Getenv("FILES")); err == nil {
		limit := syscall.Rlimit{Cur: uint64(files), Max: uint64(files)}
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	http.HandleFunc("/", answer)
	http.HandleFunc("/hold", hold)
	server := &http.Server{}
	ended := make(chan struct{})
	go func() {
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGTERM)
		<-told
		server.Shutdown(context.Background())
		close(ended)
	}()
	if err := server.Serve(listening); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-ended
}
