<?php
header("Content-Type: application/json");
echo json_encode(["pid" => getmypid(), "slot" => getenv("LIMPET_SLOT"), "peer" => $_SERVER["REMOTE_ADDR"]]);
