package projection

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"text/template"
	"text/template/parse"
)

// What one entry may cost. Templates come from whoever may write a FluentCredential, and all of them are rendered in one process.
const (
	maxRendered = 256 << 10 // bytes of the entry
	maxHandled  = 4 << 20   // bytes that functions take and return
	maxSteps    = 10_000    // values printed, turns of loops, actions, calls of templates, arguments of functions
	maxData     = 1 << 20   // bytes of all entries together: a Secret holds no more
)

var (
	errTooLarge = errors.New("it makes too much text (an entry holds 256 KiB at most)")
	errTooLong  = errors.New("it takes more than 10000 steps")
	errTooWide  = errors.New("printf may have widths of three digits at most")
	errTooMuch  = errors.New("target.data renders more than the 1 MiB that a Secret holds")
)

// bounded is what an entry is rendered to.
type bounded struct {
	bytes.Buffer
	steps, handled int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.steps++
	switch {
	case b.steps > maxSteps:
		return 0, errTooLong
	case b.Len()+len(p) > maxRendered:
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}

// functions are those that a template can use: b64enc, toJson, and Go's own, of which those that make text are replaced, since a
// few lines could make one of any size.
func (b *bounded) functions() template.FuncMap {
	return template.FuncMap{
		"b64enc": func(text string) (string, error) {
			encoded := base64.StdEncoding.EncodeToString([]byte(text))
			return encoded, b.take(encoded)
		},
		"toJson": func(value any) (string, error) {
			encoded, err := json.Marshal(value)
			return string(encoded), errors.Join(err, b.take(string(encoded)))
		},
		"print":    b.limited(fmt.Sprint),
		"println":  b.limited(fmt.Sprintln),
		"html":     b.limited(template.HTMLEscaper),
		"js":       b.limited(template.JSEscaper),
		"urlquery": b.limited(template.URLQueryEscaper),
		"printf":   b.printf,
	}
}

func (b *bounded) limited(format func(...any) string) func(...any) (string, error) {
	return func(args ...any) (string, error) {
		if err := b.take(args...); err != nil {
			return "", err
		}
		text := format(args...)
		return text, b.take(text)
	}
}

// wide is a width or a precision of more than three digits, or one that an argument gives.
var wide = regexp.MustCompile(`[0-9]{4}|\*`)

func (b *bounded) printf(format string, args ...any) (string, error) {
	if wide.MatchString(format) {
		return "", errTooWide
	}
	return b.limited(func(args ...any) string { return fmt.Sprintf(format, args...) })(args...)
}

// take counts what is handled.
func (b *bounded) take(values ...any) error {
	for _, value := range values {
		text, isText := value.(string)
		if !isText {
			text = fmt.Sprint(value)
		}
		if b.handled += len(text); b.handled > maxHandled {
			return errTooLarge
		}
	}
	return nil
}

// countTurns makes every turn of a loop and every call of a template a step, also one that prints nothing: an empty text is written
// at its start.
func countTurns(one *template.Template) {
	for _, each := range one.Templates() {
		if each.Tree != nil {
			countIn(each.Root)
			countFirst(each.Root)
		}
	}
}

func countIn(node parse.Node) {
	switch node := node.(type) {
	case *parse.ListNode:
		if node != nil { // as an ElseList that is not there
			countList(node)
		}
	case *parse.ActionNode:
		chargeIn(node.Pipe)
	case *parse.TemplateNode:
		chargeIn(node.Pipe)
	case *parse.IfNode:
		countBranch(&node.BranchNode)
	case *parse.WithNode:
		countBranch(&node.BranchNode)
	case *parse.RangeNode:
		countBranch(&node.BranchNode)
		countFirst(node.List)
	}
}

func countFirst(list *parse.ListNode) {
	list.Nodes = append([]parse.Node{emptyText(list.Pos)}, list.Nodes...)
}

// countList makes everything but plain text a step, also what prints nothing.
func countList(list *parse.ListNode) {
	var counted []parse.Node
	for _, each := range list.Nodes {
		if countIn(each); each.Type() != parse.NodeText {
			counted = append(counted, emptyText(each.Position()))
		}
		counted = append(counted, each)
	}
	list.Nodes = counted
}

func emptyText(at parse.Pos) *parse.TextNode {
	return &parse.TextNode{NodeType: parse.NodeText, Pos: at}
}

func countBranch(branch *parse.BranchNode) {
	chargeIn(branch.Pipe)
	countIn(branch.List)
	countIn(branch.ElseList)
}

// chargeIn hands every argument of a function to charged first. Otherwise a loop that compares large texts would hold a
// worker for minutes in few steps.
func chargeIn(pipe *parse.PipeNode) {
	if pipe == nil { // for example of a template called without one
		return
	}
	var charged []*parse.CommandNode
	for i, command := range pipe.Cmds {
		_, isCall := command.Args[0].(*parse.IdentifierNode)
		for at, arg := range command.Args {
			if inner, ok := arg.(*parse.PipeNode); ok {
				chargeIn(inner)
			}
			if isCall && at > 0 {
				call := chargedCall(command.Position())
				call.Args = append(call.Args, arg)
				command.Args[at] = &parse.PipeNode{
					NodeType: parse.NodePipe, Pos: arg.Position(), Cmds: []*parse.CommandNode{call},
				}
			}
		}
		if i > 0 {
			charged = append(charged, chargedCall(command.Position()))
		}
		charged = append(charged, command)
	}
	pipe.Cmds = charged
}

// chargedCall is a call of charged whose argument is added, or comes through the pipeline.
func chargedCall(at parse.Pos) *parse.CommandNode {
	name := parse.NewIdentifier(charged).SetPos(at)
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: []parse.Node{name}}
}

// charged is the name of the function through which arguments pass. It is not known while a template is parsed, so that no
// author can call it.
const charged = "charged"

// charge counts an argument and returns it.
func (b *bounded) charge(value any) (any, error) {
	if b.steps++; b.steps > maxSteps {
		return nil, errTooLong
	}
	return value, b.take(value)
}
