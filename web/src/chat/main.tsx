import { render } from "preact";
import "../shared/tokens.css";
import "../shared/controls.css";
import "./chat.css";
import "./markdown.css";
import { shareChoices } from "../shared/choices.js";
import { App } from "./app.js";
import { Chat } from "./chat.js";

const root = document.getElementById("app");
if (root === null) throw new Error("chat.html has no #app");
const chat = new Chat();
render(<App chat={chat} />, root);
shareChoices();
void chat.start();
