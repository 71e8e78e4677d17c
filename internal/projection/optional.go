package projection

import (
	"slices"
	"strconv"
	"text/template"
	"text/template/parse"
)

// A member of Extra that the reply does not have is an error if the template prints it, since an empty entry would look
// like a value. If a template only tests it, the member counts as missing, and the template continues: in the condition
// of an if or a with, and as an argument of or, and and not.
//
// A running template cannot distinguish the two. So tests are rewritten beforehand: .Extra.name becomes (index .Extra
// "name"), which is empty for a missing member.

// askSoftly rewrites the places of a template that only test a member.
func askSoftly(one *template.Template) {
	for _, each := range one.Templates() {
		if each.Tree != nil {
			softenIn(each.Root)
		}
	}
}

func softenIn(node parse.Node) {
	switch node := node.(type) {
	case *parse.ListNode:
		if node != nil { // for example a missing ElseList
			for _, each := range node.Nodes {
				softenIn(each)
			}
		}
	case *parse.IfNode:
		soften(&node.BranchNode)
	case *parse.WithNode:
		soften(&node.BranchNode)
	case *parse.RangeNode:
		softenPipe(node.Pipe, false)
		softenIn(node.List)
		softenIn(node.ElseList)
	case *parse.ActionNode:
		softenPipe(node.Pipe, false)
	case *parse.TemplateNode:
		softenPipe(node.Pipe, false)
	}
}

func soften(branch *parse.BranchNode) {
	softenPipe(branch.Pipe, true)
	softenIn(branch.List)
	softenIn(branch.ElseList)
}

// softenPipe rewrites a pipeline. asks is true if the whole pipeline is a condition.
func softenPipe(pipe *parse.PipeNode, asks bool) {
	if pipe == nil { // for example of a template called without one
		return
	}
	for _, command := range pipe.Cmds {
		if len(command.Args) == 0 {
			continue
		}
		name, isCall := command.Args[0].(*parse.IdentifierNode)
		within := asks || isCall && slices.Contains([]string{"or", "and", "not"}, name.Ident)
		for i, arg := range command.Args {
			if inner, ok := arg.(*parse.PipeNode); ok {
				softenPipe(inner, within)
			} else if within {
				command.Args[i] = softened(pipe, arg)
			}
		}
		unwrap(command)
	}
}

// unwrap replaces a command that consists only of (index .Extra "name") with that expression.
func unwrap(command *parse.CommandNode) {
	inner, ok := command.Args[0].(*parse.PipeNode)
	if ok && len(command.Args) == 1 && len(inner.Decl) == 0 && len(inner.Cmds) == 1 {
		command.Args = inner.Cmds[0].Args
	}
}

// softened returns an argument that is a member of Extra as an index expression, and any other argument unchanged.
func softened(pipe *parse.PipeNode, arg parse.Node) parse.Node {
	var extra parse.Node
	var member string
	switch arg := arg.(type) {
	case *parse.FieldNode: // .Extra.name
		if len(arg.Ident) != 2 || arg.Ident[0] != "Extra" {
			return arg
		}
		field := arg.Copy().(*parse.FieldNode)
		field.Ident = field.Ident[:1]
		extra, member = field, arg.Ident[1]
	case *parse.VariableNode: // $.Extra.name
		if len(arg.Ident) != 3 || arg.Ident[0] != "$" || arg.Ident[1] != "Extra" {
			return arg
		}
		variable := arg.Copy().(*parse.VariableNode)
		variable.Ident = variable.Ident[:2]
		extra, member = variable, arg.Ident[2]
	default:
		return arg
	}
	call := pipe.CopyPipe()
	call.Decl = nil
	index := parse.NewIdentifier("index").SetPos(arg.Position())
	name := &parse.StringNode{
		NodeType: parse.NodeString, Pos: arg.Position(), Quoted: strconv.Quote(member), Text: member,
	}
	call.Cmds = call.Cmds[:1]
	call.Cmds[0].Args = []parse.Node{index, extra, name}
	return call
}
