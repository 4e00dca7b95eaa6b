/** What the page says, in each language. Placeholders are in braces. */
const english = {
  title: "Train a network in this page",
  lead: "A small residual network with Squeeze-and-Excitation learns handwritten digits. Everything is computed here, nothing is sent anywhere.",
  otherLanguage: "中文",
  train: "Train",
  digits: "Some of the digits of MNIST that the network learns from",
  device: "Device",
  start: "Start",
  stop: "Stop",
  progress: "Progress of the training",
  curve: "Loss of each step",
  preparing: "Preparing …",
  step: "Step {step} of {total}: loss {loss}",
  done: "{step} steps on {device}: {accuracy} of {count} test digits are right.",
  failed: "It did not work: {message}",
  draw: "Draw a digit",
  pad: "A field to draw a digit in",
  padCaption: "Draw here",
  heat: "Where the network looks",
  heatCaption: "Where it looks (Grad-CAM)",
  clear: "Clear",
  example: "Take a test digit",
  untrained: "Train first, then draw.",
  waiting: "Draw a digit, or take one.",
  answer: "This is a {digit} ({share}).",
  gates: "Channel gates of each block",
  gatesHint: "How far each channel is let through for this digit: dark is closed, bright is open.",
  block: "Block {block}",
} as const;

type Texts = Readonly<Record<keyof typeof english, string>>;

const chinese: Texts = {
  title: "在网页中训练网络",
  lead: "一个带 Squeeze-and-Excitation 的小型残差网络学习手写数字。所有计算都在本页完成，不会发送任何数据。",
  otherLanguage: "English",
  train: "训练",
  digits: "网络学习所用的部分 MNIST 数字",
  device: "设备",
  start: "开始",
  stop: "停止",
  progress: "训练进度",
  curve: "每一步的损失",
  preparing: "准备中……",
  step: "第 {step} 步，共 {total} 步：损失 {loss}",
  done: "在 {device} 上训练了 {step} 步：{count} 个测试数字中 {accuracy} 正确。",
  failed: "出错了：{message}",
  draw: "写一个数字",
  pad: "书写数字的区域",
  padCaption: "在这里书写",
  heat: "网络关注的位置",
  heatCaption: "网络关注的位置（Grad-CAM）",
  clear: "清除",
  example: "取一个测试数字",
  untrained: "请先训练，再书写。",
  waiting: "请写一个数字，或取一个。",
  answer: "这是 {digit}（{share}）。",
  gates: "各模块的通道门控",
  gatesHint: "每个通道对这个数字的通过程度：暗为关闭，亮为打开。",
  block: "模块 {block}",
};

const languages = { en: english as Texts, "zh-CN": chinese };

export type Language = keyof typeof languages;
export type TextName = keyof Texts;
/** A text, with the values of its placeholders. */
export type Message = readonly [name: TextName, values?: Readonly<Record<string, string | number>>];

/** The language that the visitor's browser asks for, of those that there are. */
export function preferredLanguage(): Language {
  return navigator.languages.find((name) => /^(zh|en)\b/.test(name))?.startsWith("zh") ? "zh-CN" : "en";
}

export function otherLanguage(language: Language): Language {
  return language === "en" ? "zh-CN" : "en";
}

/** A text in a language. */
export function say(language: Language, [name, values = {}]: Message): string {
  return languages[language][name].replace(/\{(\w+)\}/g, (_, key: string) => String(values[key]));
}
