package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/yaml"

	"github.com/fluent-credential/operator/internal/printable"
)

// objectOutput is -o of a command that shows objects: a table for people, or whatever kubectl can make of an object.
type objectOutput struct{ *genericclioptions.PrintFlags }

func newObjectOutput(command *cobra.Command, forms string) objectOutput {
	flags := genericclioptions.NewPrintFlags("").WithTypeSetter(newScheme())
	flags.AddFlags(command)
	command.Flag("output").Usage = "Output format: " + forms + strings.Join(flags.AllowedFormats(), ", ") + "."
	complete(command, "output", strings.Split(forms+strings.Join(flags.AllowedFormats(), ", "), ", "))
	return objectOutput{flags}
}

// format is what was asked for; empty: the table.
func (o objectOutput) format() string { return *o.OutputFormat }

func (o objectOutput) print(s *session, object runtime.Object) error {
	printer, err := o.ToPrinter()
	if err != nil {
		return usage("%w", err)
	}
	return printer.PrintObj(object, s.Out)
}

// dataOutput is -o of a command that shows what it found out: text for people, or JSON or YAML.
type dataOutput struct{ format string }

func (o *dataOutput) addFlag(command *cobra.Command) {
	command.Flags().StringVarP(&o.format, "output", "o", "", "Output format: json or yaml; text by default.")
	complete(command, "output", []string{"json", "yaml"})
}

// validate comes first, so that nothing is done in vain.
func (o *dataOutput) validate() error {
	switch o.format {
	case "", "json", "yaml":
		return nil
	}
	return usage("-o %s is not known: json or yaml", o.format)
}

// print writes the data, or the text where no format was asked for.
func (o *dataOutput) print(s *session, data any, text func()) error {
	var encoded []byte
	var err error
	switch o.format {
	case "":
		text()
		return nil
	case "yaml":
		encoded, err = yaml.Marshal(data)
	default:
		encoded, err = json.MarshalIndent(data, "", "    ")
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.Out, strings.TrimRight(string(encoded), "\n"))
	return err
}

// row is a line of a table and its colour.
type row struct {
	cells []string
	colour
}

// printTable aligns the rows in columns, then colours them whole: a colour inside a cell would count as width. A cell
// has one line and no tab, so each row stays one line.
func (s *session) printTable(rows []row) {
	var aligned bytes.Buffer
	writer := tabwriter.NewWriter(&aligned, 0, 8, 3, ' ', 0)
	for _, row := range rows {
		for i, cell := range row.cells {
			if i > 0 {
				fmt.Fprint(writer, "\t")
			}
			fmt.Fprint(writer, printable.Visible(cell))
		}
		fmt.Fprintln(writer)
	}
	_ = writer.Flush() // a buffer takes everything
	text := aligned.String()
	for _, row := range rows {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		s.Out.printf("%s\n", painted{row.colour, strings.TrimRight(line, " ")})
	}
}
