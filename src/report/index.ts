export { type ActivationMemory, activationMemory } from "./activation-memory.js";
export {
  type AttentionPictureOptions,
  type AttentionRow,
  attentionPicture,
  type ChannelGates,
} from "./attention-picture.js";
export { type BarChartOptions, type BarPanel, type BarValue, barChart } from "./bar-chart.js";
export { Canvas, type Color, hex, type Shader, type TextStyle } from "./canvas.js";
export { type ChartOptions, type ChartPanel, type ChartSeries, chart } from "./chart.js";
export { type Colormap, type ColormapName, colormap, colormapNames, type Rgb } from "./colormap.js";
export { confusionPicture } from "./confusion-picture.js";
export { type Cost, type GraphCost, graphCost } from "./cost.js";
export { type FlameChartOptions, type FlamePart, flameChart } from "./flame-chart.js";
export { type HeatMap, type HeatOptions, heatShader, type ImagePlanes, imageShader } from "./image.js";
export { type GalleryMap, type MapGalleryOptions, mapGallery } from "./map-gallery.js";
export { mapPicture } from "./map-picture.js";
export type { BarsView, HeatView, MapView } from "./map-view.js";
export {
  type ModelSummary,
  type ModuleSummary,
  modelSummary,
  type OperatorSummary,
  type SummaryRow,
  type TracedPasses,
} from "./model-summary.js";
export { encodePng, type Pixels } from "./png.js";
export { type Cell, type Column, markdownTable, type TableOptions, table } from "./table.js";
export * from "./units.js";
