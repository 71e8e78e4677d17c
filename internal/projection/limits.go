package projection

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"text/template"
	"text/template/parse"
)

// What the templates of one target may cost. They come from everybody who may write a FluentCredential or a
// FluentToken, and all of them are rendered in one process. With these limits a rendering takes less than a second,
// whatever the templates are.
const (
	maxRendered = 256 << 10 // bytes of one entry, and of a text that a function makes
	maxHandled  = 4 << 20   // bytes that functions take and return, in all entries
	maxWork     = 20_000    // values, fields and calls that are evaluated, in all entries
	maxData     = 1 << 20   // bytes of all entries together: a Secret holds no more
	maxSource   = 256 << 10 // bytes of the templates. Admission permits less; a stored object can be older.
)

var (
	errTooLarge = errors.New("it makes too much text (an entry holds 256 KiB at most)")
	errTooLong  = errors.New("the templates of the target evaluate more than 20000 values")
	errTooWide  = errors.New("printf may have widths of three digits at most, and no argument indexes")
	errTooMuch  = errors.New("target.data renders more than the 1 MiB that a Secret holds")
	errSource   = errors.New("target.data: the templates have more than 256 KiB")
)

// budget is what the templates of one target have used so far.
type budget struct {
	work, handled int
}

// evaluate counts values that are about to be evaluated.
func (b *budget) evaluate(values int) error {
	if b.work += values; b.work > maxWork {
		return errTooLong
	}
	return nil
}

// bounded is what an entry is rendered to.
type bounded struct {
	bytes.Buffer
	*budget
}

func newBounded(within *budget) *bounded { return &bounded{budget: within} }

func (b *bounded) Write(p []byte) (int, error) {
	if err := b.evaluate(1); err != nil {
		return 0, err
	}
	if b.Len()+len(p) > maxRendered {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}

// counter is the function that countWork calls.
func (b *bounded) counter() template.FuncMap {
	return template.FuncMap{workFunction: func(values int) (string, error) { return "", b.evaluate(values) }}
}

// functions are those that a template can use: b64enc, toJson, and Go's own, of which those that make text are replaced, since a
// few lines could make one of any size.
func (b *bounded) functions() template.FuncMap {
	return template.FuncMap{
		"b64enc": func(text string) (string, error) {
			encoded := base64.StdEncoding.EncodeToString([]byte(text))
			return encoded, b.take(text, encoded)
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
		before := b.handled
		if err := b.take(args...); err != nil {
			return "", err
		}
		if b.handled-before > maxRendered { // before a text is made of them that is larger still
			return "", errTooLarge
		}
		text := format(args...)
		if len(text) > maxRendered {
			return "", errTooLarge
		}
		return text, b.take(text)
	}
}

// wide matches a width or a precision of more than three digits, or one that an argument gives, and an index of an
// argument: it can print the same large text again and again.
var wide = regexp.MustCompile(`[0-9]{4}|\*|%[-+# 0-9.]*\[`)

func (b *bounded) printf(format string, args ...any) (string, error) {
	if wide.MatchString(format) {
		return "", errTooWide
	}
	if err := b.take(format); err != nil {
		return "", err
	}
	return b.limited(func(args ...any) string { return fmt.Sprintf(format, args...) })(args...)
}

// take counts what is handled.
func (b *budget) take(values ...any) error {
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

// workFunction counts the work of the node that follows its call. No template can call it: it is not among the
// functions that a template is parsed with.
const workFunction = "fluentWork"

// countWork puts a call of workFunction before each node of a template that evaluates something, and at the start of
// each loop's body. Go's template package has no limit of its own: a loop can turn, assign and compare without printing
// anything.
func countWork(one *template.Template) {
	for _, each := range one.Templates() {
		if each.Tree != nil {
			countIn(each.Root, 1)
		}
	}
}

// countIn counts the nodes of a list, and that much for the list itself.
func countIn(list *parse.ListNode, self int) {
	if list == nil { // an else that does not exist
		return
	}
	var counted []parse.Node
	if self > 0 {
		counted = append(counted, workNode(list.Pos, self))
	}
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.ActionNode:
			counted = append(counted, workNode(node.Pos, weigh(node.Pipe)))
		case *parse.TemplateNode:
			counted = append(counted, workNode(node.Pos, 1+weigh(node.Pipe)))
		case *parse.IfNode:
			counted = append(counted, workNode(node.Pos, weigh(node.Pipe)))
			countBranch(&node.BranchNode, 0)
		case *parse.WithNode:
			counted = append(counted, workNode(node.Pos, weigh(node.Pipe)))
			countBranch(&node.BranchNode, 0)
		case *parse.RangeNode:
			counted = append(counted, workNode(node.Pos, weigh(node.Pipe)))
			countBranch(&node.BranchNode, 1)
		}
		counted = append(counted, node)
	}
	list.Nodes = counted
}

func countBranch(branch *parse.BranchNode, turn int) {
	countIn(branch.List, turn)
	countIn(branch.ElseList, 0)
}

// weigh returns how many values an expression evaluates at most.
func weigh(node parse.Node) int {
	switch node := node.(type) {
	case *parse.PipeNode:
		if node == nil { // {{template "name"}} has none
			return 0
		}
		weight := 1 + len(node.Decl)
		for _, command := range node.Cmds {
			weight += weigh(command)
		}
		return weight
	case *parse.CommandNode:
		weight := 1
		for _, arg := range node.Args {
			weight += weigh(arg)
		}
		return weight
	case *parse.ChainNode:
		return len(node.Field) + weigh(node.Node)
	case *parse.FieldNode:
		return len(node.Ident)
	case *parse.VariableNode:
		return len(node.Ident)
	}
	return 1
}

// workNode returns {{fluentWork weight}}.
func workNode(pos parse.Pos, weight int) parse.Node {
	number := &parse.NumberNode{
		NodeType: parse.NodeNumber, Pos: pos, IsInt: true, Int64: int64(weight), Text: strconv.Itoa(weight),
	}
	command := &parse.CommandNode{
		NodeType: parse.NodeCommand, Pos: pos, Args: []parse.Node{parse.NewIdentifier(workFunction).SetPos(pos), number},
	}
	pipe := &parse.PipeNode{NodeType: parse.NodePipe, Pos: pos, Cmds: []*parse.CommandNode{command}}
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: pos, Pipe: pipe}
}
