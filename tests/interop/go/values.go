package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"sort"
	"strconv"
	"time"

	hessian "github.com/apache/dubbo-go-hessian2"
	gost "github.com/dubbogo/gost/math/big"
)

// A value in a line, as an argument and as what a call returned:
//
//	null  true  "text"                  themselves
//	{"int": 1}  {"long": 1}             int32, int64
//	{"double": "1.5"}  {"float": "1.5"} float64, float32
//	{"bytes": "00ff"}  {"date": MS}     []byte, time.Time
//	{"list": [...], "class": "[]int32"} any slice, by its Go type
//	{"map": [[KEY, VALUE], ...]}        any map, sorted by the text of its keys
//	{"object": {FIELD: VALUE}, "class": C}   a struct that is registered; C is Java's name
//	{"enum": NAME, "class": C}
//	{"decimal": TEXT}  {"integer": TEXT}     java.math
//	{"ref": DEPTH}                      an object that holds itself, so many objects further in
type value = map[string]any

var slices = map[string]reflect.Type{}

var structs = map[string]reflect.Type{}

func init() {
	for _, each := range []any{
		[]any{}, []bool{}, []int16{}, []int32{}, []int64{}, []float32{}, []float64{}, []string{},
		[]time.Time{}, []*Item{}, []Color{}, []*Node{}, [][]int32{},
	} {
		slices[reflect.TypeOf(each).String()] = reflect.TypeOf(each)
	}
	for _, each := range []hessian.POJO{&User{}, &Item{}, &Node{}, &Animal{}, &Dog{}, &BizException{}} {
		structs[each.JavaClassName()] = reflect.TypeOf(each).Elem()
	}
}

// build makes the Go value that a line tells; in is decoded with UseNumber.
func build(in any) (any, error) {
	told, ok := in.(value)
	if !ok {
		if _, isNumber := in.(json.Number); isNumber {
			return nil, fmt.Errorf("%v: a number needs its type, like {\"int\": 1}", in)
		}
		return in, nil
	}
	class, _ := told["class"].(string)
	for kind, content := range told {
		switch kind {
		case "int":
			number, err := content.(json.Number).Int64()
			return int32(number), err
		case "long":
			return content.(json.Number).Int64()
		case "double":
			return strconv.ParseFloat(content.(string), 64)
		case "float":
			number, err := strconv.ParseFloat(content.(string), 32)
			return float32(number), err
		case "bytes":
			return hex.DecodeString(content.(string))
		case "date":
			ms, err := content.(json.Number).Int64()
			return time.UnixMilli(ms).UTC(), err
		case "list":
			return buildSlice(content.([]any), class)
		case "map":
			return buildMap(content.([]any))
		case "object":
			return buildStruct(content.(value), class)
		case "enum":
			return Color(RED.EnumValue(content.(string))), nil
		case "decimal":
			number := new(gost.Decimal)
			return number, number.FromString(content.(string))
		case "integer":
			number := new(gost.Integer)
			return number, number.FromString(content.(string))
		}
	}
	return nil, fmt.Errorf("what is %v?", told)
}

func buildSlice(in []any, class string) (any, error) {
	kind, ok := slices[class]
	if !ok {
		return nil, fmt.Errorf("no slice %q", class)
	}
	made := reflect.MakeSlice(kind, len(in), len(in))
	for i, each := range in {
		if err := put(made.Index(i), each); err != nil {
			return nil, err
		}
	}
	return made.Interface(), nil
}

func buildMap(in []any) (any, error) {
	made := map[any]any{}
	for _, each := range in {
		pair := each.([]any)
		key, err := build(pair[0])
		if err != nil {
			return nil, err
		}
		if made[key], err = build(pair[1]); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func buildStruct(in value, class string) (any, error) {
	kind, ok := structs[class]
	if !ok {
		return nil, fmt.Errorf("no class %q", class)
	}
	made := reflect.New(kind)
	for name, each := range in {
		field := made.Elem().FieldByName(name)
		if !field.IsValid() {
			return nil, fmt.Errorf("%s has no field %s", class, name)
		}
		if err := put(field, each); err != nil {
			return nil, err
		}
	}
	return made.Interface(), nil
}

func put(place reflect.Value, in any) error {
	made, err := build(in)
	if err == nil && made != nil {
		place.Set(reflect.ValueOf(made))
	}
	return err
}

// describe tells a Go value; inside holds the objects that it lies in.
func describe(in any, inside ...any) any {
	switch told := in.(type) {
	case nil, bool, string:
		return told
	case int32:
		return value{"int": told}
	case int64:
		return value{"long": told}
	case float64:
		return value{"double": strconv.FormatFloat(told, 'g', -1, 64)}
	case float32:
		return value{"float": strconv.FormatFloat(float64(told), 'g', -1, 32)}
	case []byte:
		return value{"bytes": hex.EncodeToString(told)}
	case time.Time:
		return value{"date": told.UnixMilli()}
	case hessian.POJOEnum:
		return value{"enum": told.String(), "class": told.JavaClassName()}
	case *gost.Decimal:
		return value{"decimal": told.String()}
	case *gost.Integer:
		number, _ := new(big.Int).SetString(told.String(), 10)
		return value{"integer": number.String()}
	}
	if len(inside) > 50 {
		return value{"too": "deep"}
	}
	for depth, outer := range inside {
		if reflect.ValueOf(in).Kind() == reflect.Pointer && outer == in {
			return value{"ref": len(inside) - depth}
		}
	}
	inside = append(inside[:len(inside):len(inside)], in)
	if reflect.ValueOf(in).Kind() != reflect.Pointer {
		inside[len(inside)-1] = nil // not comparable
	}
	seen := reflect.ValueOf(in)
	if seen.Kind() == reflect.Pointer {
		if seen.IsNil() {
			return nil
		}
		if seen.Elem().Kind() != reflect.Struct {
			return value{"pointer": describe(seen.Elem().Interface(), inside...)}
		}
		seen = seen.Elem()
	}
	switch seen.Kind() {
	case reflect.Slice:
		list := make([]any, seen.Len())
		for i := range list {
			list[i] = describe(seen.Index(i).Interface(), inside...)
		}
		return value{"list": list, "class": seen.Type().String()}
	case reflect.Map:
		return describeMap(seen, inside)
	case reflect.Struct:
		class := seen.Type().String()
		if pojo, ok := in.(hessian.POJO); ok {
			class = pojo.JavaClassName()
		}
		return value{"object": describeFields(seen, inside), "class": class}
	}
	return value{"other": fmt.Sprintf("%#v", in)}
}

func describeMap(seen reflect.Value, inside []any) any {
	pairs := make([][2]any, 0, seen.Len())
	for _, key := range seen.MapKeys() {
		pairs = append(pairs, [2]any{
			describe(key.Interface(), inside...),
			describe(seen.MapIndex(key).Interface(), inside...),
		})
	}
	sort.Slice(pairs, func(i, j int) bool {
		return fmt.Sprint(pairs[i][0]) < fmt.Sprint(pairs[j][0])
	})
	return value{"map": pairs}
}

// describeFields tells the exported fields; those of an embedded struct as if they were its own.
func describeFields(seen reflect.Value, inside []any) value {
	fields := value{}
	for i := range seen.NumField() {
		field := seen.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		if field.Anonymous {
			for name, each := range describeFields(seen.Field(i), inside) {
				fields[name] = each
			}
			continue
		}
		fields[field.Name] = describe(seen.Field(i).Interface(), inside...)
	}
	return fields
}
