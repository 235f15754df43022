// The dubbo-go peer of the interop tests: a provider, or a consumer that a test drives.
//
//	peer [FLAGS] provide PORT  serve GreetService and EchoService until stdin ends; 0 takes a free port
//	peer [FLAGS] call          read one call a line, write one answer a line, matched by "id"
//	peer codecbench            time encoding and decoding, for bench/codec.py
//
//	-heartbeat 100ms           send a heartbeat so often, and wait as long for the answer
//	-cert F -key F -ca F       TLS: what the peer shows, and whom it knows
//	-by-option                 ask for it by dubbo-go's options, and not in getty's configuration
//
// Both speak the dubbo protocol with hessian2 only. The first line of each is {"ready": true, ...}.
// What dubbo-go logs goes to stderr. values.go tells how values are written in the lines.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"syscall"

	_ "dubbo.apache.org/dubbo-go/v3/cluster/cluster/failfast"
	_ "dubbo.apache.org/dubbo-go/v3/cluster/cluster/failover"
	_ "dubbo.apache.org/dubbo-go/v3/cluster/loadbalance/random"
	// The filters that every dubbo-go provider has: one that is missing is a nil that panics.
	_ "dubbo.apache.org/dubbo-go/v3/filter/accesslog"
	_ "dubbo.apache.org/dubbo-go/v3/filter/echo"
	_ "dubbo.apache.org/dubbo-go/v3/filter/exec_limit"
	_ "dubbo.apache.org/dubbo-go/v3/filter/generic"
	_ "dubbo.apache.org/dubbo-go/v3/filter/graceful_shutdown"
	_ "dubbo.apache.org/dubbo-go/v3/filter/token"
	_ "dubbo.apache.org/dubbo-go/v3/filter/tps"
	_ "dubbo.apache.org/dubbo-go/v3/filter/tps/limiter"
	_ "dubbo.apache.org/dubbo-go/v3/filter/tps/strategy"
	_ "dubbo.apache.org/dubbo-go/v3/protocol/dubbo"
	_ "dubbo.apache.org/dubbo-go/v3/proxy/proxy_factory"
)

// lines writes whole lines, from any goroutine.
type lines struct {
	sync.Mutex
	file *os.File
}

func (l *lines) write(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		fail(err)
	}
	l.Lock()
	defer l.Unlock()
	_, _ = l.file.Write(append(text, '\n'))
}

// ownStdout keeps stdout for the lines: dubbo-go logs to what it takes for stdout.
func ownStdout() (*lines, error) {
	kept, err := syscall.Dup(1)
	if err != nil {
		return nil, err
	}
	return &lines{file: os.NewFile(uintptr(kept), "lines")}, syscall.Dup3(2, 1, 0)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "go peer:", err)
	os.Exit(1)
}

func main() {
	out, err := ownStdout()
	if err != nil {
		fail(err)
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	register()
	given := new(settings)
	flag.StringVar(&given.heartbeat, "heartbeat", "", "period")
	flag.StringVar(&given.certificate, "cert", "", "file")
	flag.StringVar(&given.key, "key", "", "file")
	flag.StringVar(&given.authority, "ca", "", "file")
	flag.BoolVar(&given.byOption, "by-option", false, "TLS by dubbo-go's options")
	flag.Parse()
	switch mode := flag.Arg(0); {
	case mode == "provide" && flag.NArg() == 2:
		err = provide(flag.Arg(1), given, in, out)
	case mode == "call" && flag.NArg() == 1:
		err = call(given, in, out)
	case mode == "codecbench" && flag.NArg() == 1:
		err = codecbench(in, out)
	default:
		err = fmt.Errorf("usage: peer [FLAGS] provide PORT | peer [FLAGS] call | peer codecbench")
	}
	if err != nil {
		fail(err)
	}
}
