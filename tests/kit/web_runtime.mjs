// node web_runtime.mjs ENVIRONMENT FOLDER: runs every NAME.onnx in the folder on NAME.x.json, a type, dims and data, with the
// onnxruntime-web of the environment, and writes NAME.y.json. Numbers that JSON does not have are texts.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const [environment, folder] = process.argv.slice(2);
const ort = createRequire(path.join(environment, "package.json"))("onnxruntime-web");
const TYPES = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array };
ort.env.logLevel = "fatal";
ort.env.wasm.numThreads = 1;
for (const file of fs.readdirSync(folder).filter((name) => name.endsWith(".onnx"))) {
  const stem = path.join(folder, file.slice(0, -".onnx".length));
  const { type, dims, data } = JSON.parse(fs.readFileSync(`${stem}.x.json`, "utf8"));
  const numbers = TYPES[type].from(type === "int64" ? data.map(BigInt) : data);
  const session = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(`${stem}.onnx`)), {
    executionProviders: ["wasm"],
  });
  const results = await session.run({ [session.inputNames[0]]: new ort.Tensor(type, numbers, dims) });
  const y = results[session.outputNames[0]];
  fs.writeFileSync(`${stem}.y.json`, JSON.stringify({ dims: y.dims, data: Array.from(y.data, String) }));
  await session.release();
}
console.log(ort.env.versions.web);
