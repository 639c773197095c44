package main

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// dashboard is what of Grafana's JSON holds queries.
type dashboard struct {
	Panels []struct {
		Title   string `json:"title"`
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

// queries gives the PromQL in an object: an alert's, or that of the panels of a dashboard in a ConfigMap.
func queries(object object) ([]string, error) {
	var found []string
	switch object.Kind {
	case "PrometheusRule":
		var rules monitoring.PrometheusRule
		if err := yaml.Unmarshal(object.text, &rules); err != nil {
			return nil, err
		}
		for _, group := range rules.Spec.Groups {
			for _, rule := range group.Rules {
				found = append(found, rule.Expr.String())
			}
		}
	case "ConfigMap":
		var config struct {
			Data map[string]string `json:"data"`
		}
		if err := yaml.Unmarshal(object.text, &config); err != nil {
			return nil, err
		}
		for name, text := range config.Data {
			if path.Ext(name) != ".json" {
				continue
			}
			var board dashboard
			if err := json.Unmarshal([]byte(text), &board); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			for _, panel := range board.Panels {
				for _, target := range panel.Targets {
					// Grafana puts a duration in the variable's place.
					found = append(found, strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
				}
			}
		}
	}
	return found, nil
}

// checkQueries reads every query of an object with Prometheus's own parser.
func checkQueries(object object) error {
	found, err := queries(object)
	if err != nil {
		return err
	}
	promql := parser.NewParser(parser.Options{})
	for _, query := range found {
		if _, err := promql.ParseExpr(query); err != nil {
			return fmt.Errorf("query %q: %w", query, err)
		}
	}
	return nil
}
