import { texts } from "../shared/language.js";

const en = {
  title: "Console",
};

const ko: typeof en = {
  title: "콘솔",
};

export const t = texts(en, ko);
