package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/server"

	"github.com/apache/dubbo-go-hessian2/java8_time"
	"github.com/apache/dubbo-go-hessian2/java_exception"
	"github.com/apache/dubbo-go-hessian2/java_util"
	gost "github.com/dubbogo/gost/math/big"
)

// application is what dubbo-go calls a provider that has no name.
const application = "dubbo.io"

// GreetService is com.example.GreetService:1.0.0.
type GreetService struct{ name string }

func (g *GreetService) Greet(_ context.Context, user *User) (string, error) {
	return fmt.Sprintf("Hello %s (%d) from %s", user.Name, user.Id, g.name), nil
}

func (g *GreetService) SayHello(_ context.Context, name string) (string, error) {
	return fmt.Sprintf("Hello %s from %s", name, g.name), nil
}

// EuropeanGreetService is eu/com.example.GreetService:2.0.0; dubbo-go wants a type of its own.
type EuropeanGreetService struct{ GreetService }

// EchoService is what Go's hessian can do of com.example.interop.EchoService. A parameter has the
// type that its decoder makes: dubbo-go converts nothing, and panics where they differ.
type EchoService struct{ oneway atomic.Value }

func (*EchoService) EchoInt(_ context.Context, v int32) (int32, error)             { return v, nil }
func (*EchoService) EchoLong(_ context.Context, v int64) (int64, error)            { return v, nil }
func (*EchoService) EchoShort(_ context.Context, v int32) (int16, error)           { return int16(v), nil }
func (*EchoService) EchoByte(_ context.Context, v int32) (int8, error)             { return int8(v), nil }
func (*EchoService) EchoChar(_ context.Context, v string) (string, error)          { return v, nil }
func (*EchoService) EchoFloat(_ context.Context, v float64) (float32, error)       { return float32(v), nil }
func (*EchoService) EchoDouble(_ context.Context, v float64) (float64, error)      { return v, nil }
func (*EchoService) EchoBoolean(_ context.Context, v bool) (bool, error)           { return v, nil }
func (*EchoService) EchoString(_ context.Context, v string) (string, error)        { return v, nil }
func (*EchoService) EchoBytes(_ context.Context, v []byte) ([]byte, error)         { return v, nil }
func (*EchoService) EchoInts(_ context.Context, v []int32) ([]int32, error)        { return v, nil }
func (*EchoService) EchoLongs(_ context.Context, v []int64) ([]int64, error)       { return v, nil }
func (*EchoService) EchoShorts(_ context.Context, v []int16) ([]int16, error)      { return v, nil }
func (*EchoService) EchoFloats(_ context.Context, v []float32) ([]float32, error)  { return v, nil }
func (*EchoService) EchoDoubles(_ context.Context, v []float64) ([]float64, error) { return v, nil }
func (*EchoService) EchoBooleans(_ context.Context, v []bool) ([]bool, error)      { return v, nil }
func (*EchoService) EchoStrings(_ context.Context, v []string) ([]string, error)   { return v, nil }
func (*EchoService) EchoIntMatrix(_ context.Context, v any) (any, error)           { return v, nil }
func (*EchoService) EchoObjects(_ context.Context, v any) (any, error)             { return v, nil }
func (*EchoService) EchoItemArray(_ context.Context, v any) (any, error)           { return v, nil }
func (*EchoService) EchoStringList(_ context.Context, v any) (any, error)          { return v, nil }
func (*EchoService) EchoIntList(_ context.Context, v any) (any, error)             { return v, nil }
func (*EchoService) EchoLongList(_ context.Context, v any) (any, error)            { return v, nil }
func (*EchoService) EchoItemList(_ context.Context, v any) (any, error)            { return v, nil }
func (*EchoService) EchoStringSet(_ context.Context, v any) (any, error)           { return v, nil }
func (*EchoService) EchoStringMap(_ context.Context, v map[any]any) (map[any]any, error) {
	return v, nil
}
func (*EchoService) EchoItemMap(_ context.Context, v any) (any, error)          { return v, nil }
func (*EchoService) EchoIntKeyMap(_ context.Context, v any) (any, error)        { return v, nil }
func (*EchoService) EchoObjectMap(_ context.Context, v any) (any, error)        { return v, nil }
func (*EchoService) EchoNested(_ context.Context, v any) (any, error)           { return v, nil }
func (*EchoService) EchoObject(_ context.Context, v any) (any, error)           { return v, nil }
func (*EchoService) EchoColor(_ context.Context, v *Color) (*Color, error)      { return v, nil }
func (*EchoService) EchoItem(_ context.Context, v *Item) (*Item, error)         { return v, nil }
func (*EchoService) EchoNode(_ context.Context, v *Node) (*Node, error)         { return v, nil }
func (*EchoService) EchoAnimal(_ context.Context, v any) (any, error)           { return v, nil }
func (*EchoService) EchoDog(_ context.Context, v *Dog) (*Dog, error)            { return v, nil }
func (*EchoService) EchoDate(_ context.Context, v time.Time) (time.Time, error) { return v, nil }
func (*EchoService) EchoUUID(_ context.Context, v *java_util.UUID) (*java_util.UUID, error) {
	return v, nil
}
func (*EchoService) EchoBigDecimal(_ context.Context, v *gost.Decimal) (*gost.Decimal, error) {
	return v, nil
}
func (*EchoService) EchoBigInteger(_ context.Context, v *gost.Integer) (*gost.Integer, error) {
	return v, nil
}
func (*EchoService) EchoLocalDate(
	_ context.Context, v *java8_time.LocalDate,
) (*java8_time.LocalDate, error) {
	return v, nil
}
func (*EchoService) EchoLocalTime(
	_ context.Context, v *java8_time.LocalTime,
) (*java8_time.LocalTime, error) {
	return v, nil
}
func (*EchoService) EchoLocalDateTime(
	_ context.Context, v *java8_time.LocalDateTime,
) (*java8_time.LocalDateTime, error) {
	return v, nil
}
func (*EchoService) EchoInstant(
	_ context.Context, v *java8_time.Instant,
) (*java8_time.Instant, error) {
	return v, nil
}
func (*EchoService) EchoDuration(
	_ context.Context, v *java8_time.Duration,
) (*java8_time.Duration, error) {
	return v, nil
}
func (*EchoService) EchoYear(_ context.Context, v *java8_time.Year) (*java8_time.Year, error) {
	return v, nil
}

func (*EchoService) Join(
	_ context.Context, first string, second int32, third []int64, fourth *Item,
) (string, error) {
	return fmt.Sprintf("%s,%d,%v,%s", first, second, third, fourth.Name), nil
}

// Nothing is a void method.
func (*EchoService) Nothing(_ context.Context) error { return nil }

func (e *EchoService) Oneway(_ context.Context, text string) error {
	e.oneway.Store(text)
	return nil
}

func (e *EchoService) LastOneway(_ context.Context) (string, error) {
	text, _ := e.oneway.Load().(string)
	return text, nil
}

func (*EchoService) Sleep(_ context.Context, ms int32) (string, error) {
	time.Sleep(time.Duration(ms) * time.Millisecond)
	return fmt.Sprintf("slept %d", ms), nil
}

func (*EchoService) Length(_ context.Context, text string) (int32, error) {
	return int32(len(text)), nil
}

func (*EchoService) ThrowDeclared(_ context.Context, code int32) error {
	return &BizException{
		DetailMessage: fmt.Sprintf("declared %d", code),
		StackTrace:    []java_exception.StackTraceElement{},
		Code:          code,
	}
}

func (*EchoService) ThrowRuntime(_ context.Context, message string) error {
	return java_exception.NewIllegalStateException(message)
}

// ThrowUnlisted fails as most Go code does.
func (*EchoService) ThrowUnlisted(_ context.Context) (string, error) {
	return "", fmt.Errorf("an error of Go")
}

func (*EchoService) Attachment(ctx context.Context, key string) (string, error) {
	attachments, _ := ctx.Value(constant.AttachmentKey).(map[string]any)
	text, _ := attachments[key].(string)
	return text, nil
}

// Describe tells what Go made of an argument.
func (*EchoService) Describe(_ context.Context, v any) (string, error) {
	return asText(describe(v)), nil
}

func provide(port string, given *settings, in *bufio.Reader, out *lines) error {
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	if number == 0 {
		free, err := net.Listen("tcp", ":0")
		if err != nil {
			return err
		}
		number = free.Addr().(*net.TCPAddr).Port
		if err := free.Close(); err != nil {
			return err
		}
	}
	options, err := given.provider()
	if err != nil {
		return err
	}
	srv, err := server.NewServer(append(
		options, server.WithServerProtocol(protocol.WithDubbo(), protocol.WithPort(number)),
	)...)
	if err != nil {
		return err
	}
	services := []struct {
		handler        any
		name           string
		group, version string
	}{
		{&GreetService{"go"}, "com.example.GreetService", "", "1.0.0"},
		{&EuropeanGreetService{GreetService{"go-eu"}}, "com.example.GreetService", "eu", "2.0.0"},
		{&EchoService{}, "com.example.interop.EchoService", "", ""},
	}
	for _, each := range services {
		err := srv.Register(
			each.handler, nil, server.WithInterface(each.name), server.WithGroup(each.group),
			server.WithVersion(each.version), server.WithNotRegister(),
		)
		if err != nil {
			return err
		}
	}
	for _, each := range services {
		// What a registry does that the provider is told to; without one there is no metadata.
		metadata.AddService("peer", common.NewURLWithOptions(
			common.WithProtocol("dubbo"), common.WithPort(strconv.Itoa(number)),
			common.WithPath(each.name), common.WithInterface(each.name),
			common.WithParamsValue(constant.GroupKey, each.group),
			common.WithParamsValue(constant.VersionKey, each.version),
			common.WithParamsValue(constant.ApplicationKey, application),
		))
	}
	revision := metadata.GetMetadataInfo("peer").CalAndGetRevision()
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve() }()
	if err := ready(number, failed); err != nil {
		return err
	}
	out.write(map[string]any{
		"ready": true, "port": number, "pid": os.Getpid(), "revision": revision,
	})
	_, err = io.Copy(io.Discard, in)
	return err
}

// ready waits until the port is open: Serve does not say when it is.
func ready(port int, failed chan error) error {
	for {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return connection.Close()
		}
		select {
		case err := <-failed:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}
