package main

import (
	hessian "github.com/apache/dubbo-go-hessian2"
	"github.com/apache/dubbo-go-hessian2/java_exception"
)

// User is com.example.User.
type User struct {
	Id   int64
	Name string
}

func (User) JavaClassName() string { return "com.example.User" }

// Item is com.example.interop.Item.
type Item struct {
	Id    int64
	Name  string
	Price float64
	Color Color
	Tags  []string
}

func (Item) JavaClassName() string { return "com.example.interop.Item" }

// Node is com.example.interop.Node: a graph, cyclic or not.
type Node struct {
	Name     string
	Next     *Node
	Children []*Node
	Other    any
}

func (Node) JavaClassName() string { return "com.example.interop.Node" }

// Animal is com.example.interop.Animal.
type Animal struct {
	Name string
	Legs int32
}

func (Animal) JavaClassName() string { return "com.example.interop.Animal" }

// Dog is com.example.interop.Dog, which inherits from Animal.
type Dog struct {
	Animal
	Good   bool
	Friend *Dog
}

func (Dog) JavaClassName() string { return "com.example.interop.Dog" }

// Color is the enum com.example.interop.Color.
type Color hessian.JavaEnum

const (
	RED Color = iota
	GREEN
	BLUE
)

var colors = []string{"RED", "GREEN", "BLUE"}

func (Color) JavaClassName() string { return "com.example.interop.Color" }

func (c Color) String() string { return colors[c] }

func (Color) EnumValue(name string) hessian.JavaEnum {
	for number, color := range colors {
		if color == name {
			return hessian.JavaEnum(number)
		}
	}
	return hessian.InvalidJavaEnum
}

// BizException is com.example.interop.BizException.
type BizException struct {
	SerialVersionUID     int64
	DetailMessage        string
	SuppressedExceptions []java_exception.Throwabler
	StackTrace           []java_exception.StackTraceElement
	Cause                java_exception.Throwabler
	Code                 int32
}

func (BizException) JavaClassName() string { return "com.example.interop.BizException" }

func (e BizException) Error() string { return e.DetailMessage }

func (e BizException) GetStackTrace() []java_exception.StackTraceElement { return e.StackTrace }

// register makes the classes known to Go's hessian: without, an object arrives as a map.
func register() {
	for _, class := range []hessian.POJO{&User{}, &Item{}, &Node{}, &Animal{}, &Dog{}, &BizException{}} {
		hessian.RegisterPOJO(class)
	}
	hessian.RegisterJavaEnum(RED)
}
