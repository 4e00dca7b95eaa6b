// What a user's code for the browser may import: nothing here needs the types of Node.js.
import { CBAM, create, SqueezeExcitation } from "fovea/attention";
import { Loader } from "fovea/data";
import { readSafetensors } from "fovea/formats";
import { batch, trace } from "fovea/graph";
import { models } from "fovea/models";
import { BatchNorm } from "fovea/nn";
import { exportOnnx } from "fovea/onnx";
import { softmax } from "fovea/ops";
import { chart } from "fovea/report";
import { fit } from "fovea/train";

const se: SqueezeExcitation = create("se", { channels: 16 });
const { bytes } = exportOnnx(trace(se, { shape: [batch, 16, 8, 8] }));

// @ts-expect-error: an option of the wrong type
new SqueezeExcitation({ channels: "16" });
// @ts-expect-error: no mechanism of this id
create("no-such-mechanism", { channels: 16 });

export { BatchNorm, bytes, CBAM, chart, fit, Loader, models, readSafetensors, softmax };
