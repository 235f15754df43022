package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strconv"
	"sync"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata"
	"dubbo.apache.org/dubbo-go/v3/registry"

	hessian "github.com/apache/dubbo-go-hessian2"
)

type request struct {
	ID          int            `json:"id"`
	URL         string         `json:"url"`
	Interface   string         `json:"interface"`
	Group       string         `json:"group"`
	Version     string         `json:"version"`
	Method      string         `json:"method"`
	Args        []any          `json:"args"`
	Attachments map[string]any `json:"attachments"`
	Oneway      bool           `json:"oneway"`
	Generic     bool           `json:"generic"`
	Types       []string       `json:"types"`
	// With an application it is no call: its metadata is asked for at HOST:PORT in URL.
	Application string `json:"application"`
	Revision    string `json:"revision"`
}

// caller is one method of a provider, as a Go program has it: a function in a struct.
type caller func(ctx context.Context, args []any) (any, error)

// consumer has a client of its own for one-way calls: what one reference asks for, dubbo-go applies
// to all that the same client makes later.
type consumer struct {
	sync.Mutex
	client, oneway, generic *client.Client
	callers                 map[string]caller
}

// caller dials once for each method of an address; dubbo-go shares the connections.
func (c *consumer) caller(asked *request) (made caller, err error) {
	c.Lock()
	defer c.Unlock()
	key := fmt.Sprint(asked.URL, " ", asked.Group, "/", asked.Interface, ":", asked.Version, " ",
		asked.Method, asked.Oneway, asked.Generic)
	if made, ok := c.callers[key]; ok {
		return made, nil
	}
	defer func() { // dubbo-go panics where nobody listens
		if problem := recover(); problem != nil {
			err = fmt.Errorf("dubbo-go panicked: %v", problem)
		}
	}()
	name := asked.Method
	if asked.Generic {
		name = "$invoke"
	}
	stub := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: "Call",
		Type: reflect.TypeFor[func(context.Context, []any) (any, error)](),
		Tag:  reflect.StructTag(fmt.Sprintf("dubbo:%q", name)),
	}}))
	options := []client.ReferenceOption{
		client.WithURL(asked.URL),
		client.WithProtocolDubbo(),
		client.WithSerialization(constant.Hessian2Serialization),
		client.WithGroup(asked.Group),
		client.WithVersion(asked.Version),
		client.WithClusterFailFast(),
	}
	dialer := c.client
	if asked.Generic {
		dialer = c.generic
		options = append(options, client.WithGeneric())
	}
	if asked.Oneway {
		dialer = c.oneway
		options = append(options, client.WithAsync())
	}
	if _, err := dialer.DialWithService(asked.Interface, stub.Interface(), options...); err != nil {
		return nil, err
	}
	made = stub.Elem().Field(0).Interface().(func(context.Context, []any) (any, error))
	if made == nil {
		return nil, errors.New("dubbo-go made no proxy")
	}
	c.callers[key] = made
	return made, nil
}

func (c *consumer) answer(asked *request) (answer value) {
	answer = value{"id": asked.ID, "ok": false}
	defer func() {
		if problem := recover(); problem != nil {
			answer["error"] = fmt.Sprintf("panic: %v", problem)
		}
	}()
	args := make([]any, len(asked.Args))
	for i, each := range asked.Args {
		var err error
		if args[i], err = build(each); err != nil {
			answer["error"] = err.Error()
			return answer
		}
	}
	if asked.Application != "" {
		return metadataOf(asked)
	}
	if asked.Generic {
		objects := make([]hessian.Object, len(args))
		for i, each := range args {
			objects[i] = each
		}
		args = []any{asked.Method, asked.Types, objects}
	}
	made, err := c.caller(asked)
	if err != nil {
		answer["error"] = err.Error()
		return answer
	}
	ctx := context.WithValue(context.Background(), constant.AttachmentKey, asked.Attachments)
	got, err := made(ctx, args)
	if err != nil {
		answer["error"] = err.Error()
		if class, ok := err.(hessian.POJO); ok {
			answer["exception"] = class.JavaClassName()
			answer["go"] = describe(err)
		}
		return answer
	}
	answer["ok"] = true
	answer["value"] = describe(got)
	return answer
}

// metadataOf asks an instance of an application as dubbo-go's discovery does.
func metadataOf(asked *request) value {
	host, port, err := net.SplitHostPort(asked.URL)
	if err != nil {
		return value{"id": asked.ID, "ok": false, "error": err.Error()}
	}
	number, _ := strconv.Atoi(port)
	instance := &registry.DefaultServiceInstance{
		ServiceName: asked.Application, Host: host, Port: number,
		Metadata: map[string]string{
			constant.MetadataServiceURLParamsPropertyName: fmt.Sprintf(
				`{"protocol": "dubbo", "version": "1.0.0", "port": %q, "serialization": "hessian2"}`, port),
		},
	}
	told, err := metadata.GetMetadataFromRpc(asked.Revision, instance)
	if err != nil {
		return value{"id": asked.ID, "ok": false, "error": err.Error()}
	}
	services := value{}
	for key, each := range told.Services {
		services[key] = value{
			"name": each.Name, "group": each.Group, "version": each.Version,
			"protocol": each.Protocol, "path": each.Path, "params": each.Params,
		}
	}
	return value{"id": asked.ID, "ok": true, "value": value{
		"app": told.App, "revision": told.Revision, "services": services,
	}}
}

func asText(in any) string {
	text, err := json.Marshal(in)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func call(given *settings, in *bufio.Reader, out *lines) error {
	if err := given.consumer(); err != nil {
		return err
	}
	calls := &consumer{callers: map[string]caller{}}
	for _, each := range []**client.Client{&calls.client, &calls.oneway, &calls.generic} {
		options := []client.ClientOption{client.WithClientRetries(0)}
		if given.byOption {
			options = append(options, client.WithClientTLSOption(given.options()...))
		}
		made, err := client.NewClient(options...)
		if err != nil {
			return err
		}
		*each = made
	}
	out.write(map[string]any{"ready": true, "pid": os.Getpid()})
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		asked := new(request)
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(asked); err != nil {
			return err
		}
		go func() { out.write(calls.answer(asked)) }()
	}
}
