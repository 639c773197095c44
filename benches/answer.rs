//! Answers one review repeatedly, to count the instructions of an answer: see `benches/instructions.sh`.

use std::{env, error::Error, fs, hint::black_box};

use pullcred::{
    core::{answer, decide::decide, review},
    mapping,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [config, review, times] = arguments.as_slice() else {
        return Err("usage: answer MAPPING REVIEW TIMES".into());
    };
    let mapping = mapping::parse(&fs::read_to_string(config)?)?;
    let body = fs::read(review)?;
    for _ in 0..times.parse()? {
        let request = review::parse(black_box(&body))?;
        black_box(answer::respond(&request.uid, &decide(&request, &mapping, None))?);
    }
    Ok(())
}
