package projection

import (
	"slices"
	"strconv"
	"text/template"
	"text/template/parse"
)

// A member of Extra that the reply does not have is an error where it is printed, since an empty entry would look like one. Where a template
// only asks for it, it is not there, and the template goes on: in the condition of an if or a with, and as an argument of or, and and not.
//
// The two cannot be told apart when the template runs. So what only asks is rewritten before: .Extra.name becomes (index .Extra "name"), which
// is empty for a member that is missing.

// askSoftly rewrites the places of a template that only ask for a member.
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
		if node != nil { // as an ElseList that is not there
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

// softenPipe rewrites a pipeline; asks is true if the whole of it is a condition.
func softenPipe(pipe *parse.PipeNode, asks bool) {
	if pipe == nil { // as of a template that is called without one
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
		if member, ok := command.Args[0].(*parse.PipeNode); ok && len(command.Args) == 1 && len(member.Decl) == 0 && len(member.Cmds) == 1 {
			command.Args = member.Cmds[0].Args // (index .Extra "name") alone is the command itself
		}
	}
}

// softened is an argument with a member of Extra asked for by index; any other argument stays.
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
	name := &parse.StringNode{NodeType: parse.NodeString, Pos: arg.Position(), Quoted: strconv.Quote(member), Text: member}
	call.Cmds = call.Cmds[:1]
	call.Cmds[0].Args = []parse.Node{index, extra, name}
	return call
}
