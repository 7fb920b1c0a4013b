package main

// Grafana's JSON, as far as it is used. Schema 39 is that of Grafana 11; newer
// ones migrate it when they load it.
const schemaVersion = 39

type dashboard struct {
	UID           string       `json:"uid"`
	Title         string       `json:"title"`
	Tags          []string     `json:"tags"`
	SchemaVersion int          `json:"schemaVersion"`
	Timezone      string       `json:"timezone"`
	Refresh       string       `json:"refresh"`
	Editable      bool         `json:"editable"`
	Time          timeRange    `json:"time"`
	Templating    templating   `json:"templating"`
	Panels        []grafPanel  `json:"panels"`
	Annotations   annotationsT `json:"annotations"`
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type templating struct {
	List []variable `json:"list"`
}

type annotationsT struct {
	List []any `json:"list"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type variable struct {
	Name       string  `json:"name"`
	Label      string  `json:"label"`
	Type       string  `json:"type"`
	Query      string  `json:"query"`
	Datasource *source `json:"datasource,omitempty"`
	Refresh    int     `json:"refresh,omitempty"` // 2: whenever the time range changes
	Sort       int     `json:"sort,omitempty"`    // 1: by the alphabet
	Multi      bool    `json:"multi,omitempty"`
	IncludeAll bool    `json:"includeAll,omitempty"`
	AllValue   string  `json:"allValue,omitempty"`
}

type gridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type target struct {
	RefID        string `json:"refId"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat,omitempty"`
	Instant      bool   `json:"instant,omitempty"`
	Format       string `json:"format,omitempty"`
}

type grafPanel struct {
	ID          int            `json:"id"`
	Type        string         `json:"type"`
	Title       string         `json:"title"`
	GridPos     gridPos        `json:"gridPos"`
	Datasource  *source        `json:"datasource,omitempty"`
	FieldConfig map[string]any `json:"fieldConfig,omitempty"`
	Options     map[string]any `json:"options,omitempty"`
	Targets     []target       `json:"targets,omitempty"`
}

// prometheus is the data source that the dashboard's variable chooses.
var prometheus = &source{Type: "prometheus", UID: "${datasource}"}

const (
	columns     = 24
	panelHeight = 8
)

func newDashboard() dashboard {
	choose := func(name, label, query string) variable {
		return variable{
			Name: name, Label: label, Type: "query", Query: query, Datasource: prometheus,
			Refresh: 2, Sort: 1, Multi: true, IncludeAll: true, AllValue: ".*",
		}
	}
	return dashboard{
		UID: "bridgekeeper", Title: "Bridgekeeper", Tags: []string{"bridgekeeper"}, SchemaVersion: schemaVersion,
		Timezone: "browser", Refresh: "1m", Editable: true, Time: timeRange{"now-6h", "now"},
		Templating: templating{[]variable{
			{Name: "datasource", Label: "Prometheus", Type: "datasource", Query: "prometheus"},
			choose("namespace", "Namespace", `label_values(up{`+pods+`}, namespace)`),
			choose("instance", "Bridge or ConversationStore", `label_values(up{`+pods+`,namespace=~"$namespace"}, app_kubernetes_io_instance)`),
		}},
		Annotations: annotationsT{[]any{}},
		Panels:      layOut(rows),
	}
}

// layOut puts panels from left to right, row under row.
func layOut(rows []row) []grafPanel {
	var out []grafPanel
	y := 0
	for _, r := range rows {
		out = append(out, grafPanel{ID: len(out) + 1, Type: "row", Title: r.title, GridPos: gridPos{1, columns, 0, y}})
		y++
		x := 0
		for _, p := range r.panels {
			if x+p.width > columns {
				x, y = 0, y+panelHeight
			}
			g := p.grafana(len(out) + 1)
			g.GridPos = gridPos{panelHeight, p.width, x, y}
			out = append(out, g)
			x += p.width
		}
		y += panelHeight
	}
	return out
}

func (p panel) grafana(id int) grafPanel {
	g := grafPanel{
		ID: id, Type: p.kind, Title: p.title, Datasource: prometheus,
		FieldConfig: map[string]any{"defaults": map[string]any{"unit": p.unit, "min": 0}, "overrides": []any{}},
	}
	switch p.kind {
	case "timeseries":
		g.Options = map[string]any{"legend": map[string]any{"displayMode": "list", "placement": "bottom"}, "tooltip": map[string]any{"mode": "multi", "sort": "desc"}}
	case "stat":
		g.Options = map[string]any{"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}}, "colorMode": "none"}
	}
	for i, q := range p.queries {
		t := target{RefID: string(rune('A' + i)), Expr: q.expr, LegendFormat: q.legend}
		if p.kind == "table" {
			t.Instant, t.Format = true, "table"
		}
		g.Targets = append(g.Targets, t)
	}
	return g
}
