package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"syscall"
	"time"

	hessian "github.com/apache/dubbo-go-hessian2"
)

// The messages of bench/codec.py. Note is any because a string of Go cannot be null.

type benchUser struct {
	Id     int64
	Name   string
	Age    int32
	Email  string
	Active bool
}

func (benchUser) JavaClassName() string { return "com.example.bench.User" }

type benchAddress struct {
	Street string
	City   string
	Zip    int32
}

func (benchAddress) JavaClassName() string { return "com.example.bench.Address" }

type benchItem struct {
	Sku      string
	Quantity int32
	Price    float64
}

func (benchItem) JavaClassName() string { return "com.example.bench.Item" }

type benchOrder struct {
	Id       int64
	Customer *benchUser
	Shipping *benchAddress
	Billing  *benchAddress
	Items    []*benchItem
	Tags     map[string]string
	Note     any
}

func (benchOrder) JavaClassName() string { return "com.example.bench.Order" }

func encode(value any) ([]byte, error) {
	encoder := hessian.NewEncoder()
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return encoder.Buffer(), nil
}

func decode(octets []byte) (any, error) {
	return hessian.NewDecoder(octets).Decode()
}

// dropped is where results go, so that the compiler cannot leave out what made them.
var dropped any

// cpu is what this process has used, garbage collection included.
func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		fail(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// timed gives microseconds of CPU time.
func timed(task func() (any, error), seconds float64) (float64, error) {
	limit := time.Duration(seconds * float64(time.Second))
	began, count := cpu(), 0
	for batch := 1; ; batch = min(2*batch, 1024) {
		for range batch {
			result, err := task()
			if err != nil {
				return 0, err
			}
			dropped = result
		}
		count += batch
		if elapsed := cpu() - began; elapsed >= limit {
			return float64(elapsed.Nanoseconds()) / 1e3 / float64(count), nil
		}
	}
}

// codecbench is dubbo-go-hessian2's side of bench/codec.py, whose codec_peers.py tells the lines.
func codecbench(in *bufio.Reader, out *lines) error {
	for _, class := range []hessian.POJO{&benchUser{}, &benchAddress{}, &benchItem{}, &benchOrder{}} {
		hessian.RegisterPOJO(class)
	}
	messages, values := map[string][]byte{}, map[string]any{}
	out.write(value{"ready": "dubbo-go-hessian2 " + hessianVersion()})
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return nil // the end of stdin is the end
		}
		var line struct {
			Do, Message, Hex string
			Seconds          float64
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return err
		}
		answer := value{}
		switch line.Do {
		case "load":
			err = func() error {
				octets, err := hex.DecodeString(line.Hex)
				if err != nil {
					return err
				}
				found, err := decode(octets)
				if err != nil {
					return err
				}
				messages[line.Message], values[line.Message] = octets, found
				back, err := encode(found)
				answer["hex"] = hex.EncodeToString(back)
				return err
			}()
		case "encode":
			answer["us"], err = timed(func() (any, error) { return encode(values[line.Message]) }, line.Seconds)
		case "decode":
			answer["us"], err = timed(func() (any, error) { return decode(messages[line.Message]) }, line.Seconds)
		default:
			err = fmt.Errorf("unknown: %s", line.Do)
		}
		if err != nil {
			answer = value{"error": err.Error()}
		}
		out.write(answer)
	}
}

func hessianVersion() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/apache/dubbo-go-hessian2" {
				return module.Version
			}
		}
	}
	return ""
}
