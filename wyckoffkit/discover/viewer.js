// Crystals that turn under the pointer: balls from back to front, and the cell's edges. Data: see viewer.py.
"use strict";
function draw(canvas, crystal, turn) {
  const context = canvas.getContext("2d");
  const scale = window.devicePixelRatio || 1, size = canvas.clientWidth;
  canvas.width = canvas.height = size * scale;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  const [a, b] = turn, ca = Math.cos(a), sa = Math.sin(a), cb = Math.cos(b), sb = Math.sin(b);
  const seen = ([x, y, z]) => [ca * x + sa * z, cb * y - sb * (ca * z - sa * x), sb * y + cb * (ca * z - sa * x)];
  const zoom = (0.46 * size) / crystal.reach;
  const at = ([x, y]) => [size / 2 + zoom * x, size / 2 - zoom * y];
  context.strokeStyle = "#8a949c";
  for (const [from, to] of crystal.edges) {
    context.beginPath();
    context.moveTo(...at(seen(from)));
    context.lineTo(...at(seen(to)));
    context.stroke();
  }
  const balls = crystal.atoms.map(([x, y, z, kind]) => [seen([x, y, z]), crystal.kinds[kind]]);
  balls.sort((one, other) => one[0][2] - other[0][2]);
  for (const [place, kind] of balls) {
    const [x, y] = at(place), r = zoom * kind.radius;
    const shade = context.createRadialGradient(x - r / 3, y - r / 3, r / 8, x, y, r);
    shade.addColorStop(0, "#ffffff");
    shade.addColorStop(0.35, kind.colour);
    shade.addColorStop(1, kind.colour);
    context.fillStyle = shade;
    context.beginPath();
    context.arc(x, y, r, 0, 2 * Math.PI);
    context.fill();
    context.strokeStyle = "rgba(0,0,0,.45)";
    context.stroke();
  }
}
for (const canvas of document.querySelectorAll("canvas[data-crystal]")) {
  const crystal = JSON.parse(canvas.dataset.crystal), turn = [0.5, 0.35];
  draw(canvas, crystal, turn);
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) {
      turn[0] += event.movementX / 60;
      turn[1] += event.movementY / 60;
      draw(canvas, crystal, turn);
    }
  });
}
