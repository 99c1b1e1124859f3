package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
)

func serve(fd int) {
	file := os.NewFile(uintptr(fd), "client")
	client, err := net.FileConn(file)
	file.Close()
	if err != nil {
		return
	}
	defer client.Close()
	if n, _ := client.Read(make([]byte, 65536)); n > 0 {
		fmt.Fprintf(client, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nslot %s\n", os.Getenv("LIMPET_SLOT"))
	}
}

func main() {
	front, _ := strconv.Atoi(os.Getenv("LIMPET_FD"))
	tell := func(format string, number int) {
		syscall.Write(front, []byte(fmt.Sprintf(format, number)))
	}
	var clients sync.WaitGroup
	defer clients.Wait()
	tell(`{"type":"hello","version":%d}`, 1)
	syscall.Write(front, []byte(`{"type":"ready"}`))
	data, control := make([]byte, 8192), make([]byte, syscall.CmsgSpace(4))
	for {
		var message struct {
			Type string
			Id   int
		}
		n, c, _, _, err := syscall.Recvmsg(front, data, control, syscall.MSG_CMSG_CLOEXEC)
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 || json.Unmarshal(data[:n], &message) != nil || message.Type == "drain" {
			return
		}
		passed, _ := syscall.ParseSocketControlMessage(control[:c])
		if message.Type == "connection" && len(passed) == 1 {
			fds, _ := syscall.ParseUnixRights(&passed[0])
			tell(`{"type":"ack","id":%d}`, message.Id)
			clients.Add(1)
			go func() { defer clients.Done(); serve(fds[0]) }()
		} else if message.Type == "connection" {
			tell(`{"type":"refuse","id":%d}`, message.Id)
		} else if message.Type == "ping" {
			tell(`{"type":"pong","id":%d}`, message.Id)
		}
	}
}
