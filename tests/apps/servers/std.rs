// A server made of Rust's standard library: ./std PORT
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let peer = stream.peer_addr()?.ip();
    let slot = std::env::var("LIMPET_SLOT").unwrap_or_default();
    let body = format!("{{\"pid\": {}, \"slot\": \"{}\", \"peer\": \"{}\"}}", std::process::id(), slot, peer);
    let mut lines = BufReader::new(stream.try_clone()?).lines();

    while let Some(line) = lines.next() {
        if line?.is_empty() {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.len(), body)?;
        }
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).unwrap().parse::<u16>().unwrap();

    for stream in TcpListener::bind(("127.0.0.1", port))?.incoming() {
        let stream = stream?;
        std::thread::spawn(move || serve(stream));
    }
    Ok(())
}
