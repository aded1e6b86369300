import { render } from "preact";
import "../shared/tokens.css";
import "./controls.css";
import "./console.css";
import { loadSession } from "../shared/session.js";
import { App } from "./app.js";

const root = document.getElementById("app");
if (root === null) throw new Error("console.html has no #app");
render(<App />, root);
void loadSession();
