// Command manifests checks the Kubernetes objects on its standard input against several versions of Kubernetes:
//
//	manifests VERSION=CLIENT-GO-FOLDER… < manifests.yaml
//
// client-go of a version holds that version's structural schema, the one by which its API server reads server-side apply. It
// knows every kind, every field and every field's type, and so finds what a version doesn't have, and what is misspelt. It
// doesn't know which fields are required or what values they take: that only an API server says. Definitions
// of resources, and the objects of the Prometheus operator and of cert-manager, are read strictly into those projects' own types.
//
// Alerts and dashboards must hold PromQL that Prometheus's own parser reads. Duplicate keys are refused, too. Every object must be checked by something: an unknown kind is an error.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/yaml"
)

// object is what a manifest says it is, and its text.
type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	text []byte
}

func (o object) String() string { return o.APIVersion + " " + o.Kind + " " + o.Metadata.Name }

// custom reads the kinds that client-go does not have.
var custom = map[string]func() any{
	"apiextensions.k8s.io/v1 CustomResourceDefinition": func() any { return new(apiextensions.CustomResourceDefinition) },
	"cert-manager.io/v1 Certificate":                   func() any { return new(certmanager.Certificate) },
	"cert-manager.io/v1 Issuer":                        func() any { return new(certmanager.Issuer) },
	"monitoring.coreos.com/v1 PrometheusRule":          func() any { return new(monitoring.PrometheusRule) },
	"monitoring.coreos.com/v1 ServiceMonitor":          func() any { return new(monitoring.ServiceMonitor) },
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(schemas []string, in io.Reader, out io.Writer) error {
	if len(schemas) == 0 {
		return errors.New("usage: manifests VERSION=CLIENT-GO-FOLDER… < manifests.yaml")
	}
	objects, err := read(in)
	if err != nil {
		return err
	}
	var problems []error
	for _, object := range objects {
		if err := checkQueries(object); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", object, err))
		}
	}
	for _, schema := range schemas {
		version, folder, found := strings.Cut(schema, "=")
		if !found {
			return fmt.Errorf("%q: want VERSION=CLIENT-GO-FOLDER", schema)
		}
		types, err := structuralSchema(folder)
		if err != nil {
			return fmt.Errorf("Kubernetes %s: %w", version, err)
		}
		before := len(problems)
		for _, object := range objects {
			if err := check(object, types); err != nil {
				problems = append(problems, fmt.Errorf("Kubernetes %s: %s: %w", version, object, err))
			}
		}
		fmt.Fprintf(out, "Kubernetes %s: %d of %d objects are valid\n", version, len(objects)-(len(problems)-before), len(objects))
	}
	return errors.Join(problems...)
}

func read(in io.Reader) ([]object, error) {
	var objects []object
	reader := kyaml.NewYAMLReader(bufio.NewReader(in))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		asJSON, err := yaml.YAMLToJSONStrict(text)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(objects)+1, err)
		}
		if string(asJSON) == "null" {
			continue
		}
		document := object{text: asJSON}
		if err := yaml.Unmarshal(asJSON, &document); err != nil {
			return nil, fmt.Errorf("document %d: %w", len(objects)+1, err)
		}
		objects = append(objects, document)
	}
	if len(objects) == 0 {
		return nil, errors.New("no object on standard input")
	}
	return objects, nil
}

func check(object object, types *typed.Parser) error {
	if target, found := custom[object.APIVersion+" "+object.Kind]; found {
		return yaml.UnmarshalStrict(object.text, target())
	}
	group, version, found := strings.Cut(object.APIVersion, "/")
	if !found {
		group, version = "core", object.APIVersion
	}
	// The schema names a group by the folder of its Go types, which is the first word of the group's name.
	folder, _, _ := strings.Cut(group, ".")
	name := fmt.Sprintf("io.k8s.api.%s.%s.%s", folder, version, object.Kind)
	kind := types.Type(name)
	if !kind.IsValid() {
		return errors.New("there is no such kind")
	}
	_, err := kind.FromYAML(typed.YAMLObject(object.text))
	return err
}

// structuralSchema reads the schema out of client-go's source. Its package is internal, and one program can hold one version of
// a module only.
func structuralSchema(folder string) (*typed.Parser, error) {
	path := filepath.Join(folder, "applyconfigurations", "internal", "internal.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return nil, err
	}
	var text string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "schemaYAML" {
			return true
		}
		conversion := spec.Values[0].(*ast.CallExpr)
		text, err = strconv.Unquote(conversion.Args[0].(*ast.BasicLit).Value)
		return false
	})
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, fmt.Errorf("%s: no schemaYAML in it", path)
	}
	return typed.NewParser(typed.YAMLObject(text))
}
