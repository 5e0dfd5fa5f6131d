//! What a person decides when log and database do not belong together any more: told before, declared, and nothing else.

use super::doubles::Double;
use super::*;
use crate::engine::OpenError;
use crate::engine::adopt::Survey;
use crate::engine::ops::{fields, numbers};
use crate::model::IncidentKind;
use crate::sink::{LandingOp, SinkError};

fn add_view(world: &World) {
    world.run(&["page:1"], |unit, t| numbers::add(unit, 0, &t[0], b"views", b"1")).unwrap();
}

fn log(world: &World) -> Arc<dyn Log> {
    let settings = LocalLogSettings::from(&world.settings);
    Arc::new(LocalLog::open(world.env.clone(), &world.settings.data_dir, settings).unwrap().0)
}

fn close(world: &mut World) {
    let engine = world.engine.take().unwrap();
    assert_eq!(engine.close(PATIENCE).unwrap().changes, 0);
}

fn refusal(world: &World) -> OpenError {
    let fatal = Arc::new(|name: &str| panic!("the thread {name} panicked"));
    let (env, settings) = (world.env.clone(), world.settings.clone());
    match Engine::open(env, settings, log(world), world.database.clone(), fatal) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

fn survey(world: &World) -> Survey {
    Survey::new(world.env.clone(), &world.settings, log(world), world.database.clone()).unwrap()
}

/// What would be declared as lost.
fn lost(world: &World) -> Vec<(u64, u64)> {
    survey(world).decisions().iter().map(|one| one.lost).filter(|lost| *lost != (0, 0)).collect()
}

/// Adopts, opens, and sees that it is known until somebody says so.
pub(super) fn adopt(world: &mut World) {
    assert!(!survey(world).is_empty());
    survey(world).carry_out().unwrap();
    assert!(survey(world).is_empty(), "twice is once");
    world.open();
    assert!(!world.engine().status().is_healthy());
    let incidents = world.engine().incidents();
    assert_eq!(incidents[0].kind, IncidentKind::Adopted);
    assert_eq!(world.engine().acknowledge_incidents(None).unwrap(), incidents.len());
    assert!(world.engine().status().is_healthy());
}

#[test]
fn a_database_whose_log_was_lost_goes_on_with_a_new_log() {
    let (mut world, database) = World::on_disk(|_| {});
    add_view(&world);
    close(&mut world);
    assert!(survey(&world).is_empty(), "nothing to adopt where all is well");
    world.disk.as_ref().unwrap().wipe();
    assert!(matches!(refusal(&world), OpenError::Lander(_)));
    world.disk.as_ref().unwrap().wipe();
    let survey = survey(&world);
    assert!(survey.decisions().iter().all(|one| one.lost == (0, 0) && one.what.contains("is gone with it")));
    drop(survey);
    adopt(&mut world);
    assert!(!database.incidents().is_empty());
    add_view(&world);
    world.land_all();
    assert_eq!(database.row(&page(1)).unwrap()[&Name::column("views")], Value::Int(2));
}

/// The new log uses the positions of the old one again.
#[test]
fn an_event_that_is_parked_by_a_new_log_leaves_the_letters_of_the_lost_one() {
    let (mut world, database) = World::on_disk(|settings| settings.refusals_max = 1);
    database.set_poison(Some(Arc::new(|op| {
        matches!(op, LandingOp::Append { .. }).then(|| "a trigger refuses it".into())
    })));
    let append = |world: &World, id: i64| {
        let event = |unit: &mut Unit<'_>, _: &[Target]| {
            let table = world.engine().catalogue().table("page").cloned().unwrap();
            unit.append(&table, vec![(Name::column("id"), Value::Int(id))], 0);
            Ok(())
        };
        world.run(&[], event).unwrap();
        world.land_all();
    };
    append(&world, 1);
    assert_eq!(database.letters().len(), 1);
    close(&mut world);
    world.disk.as_ref().unwrap().wipe();
    survey(&world).carry_out().unwrap();
    world.open();
    append(&world, 2);
    let letters = database.letters();
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!((letters[0].lane, letters[0].first), (letters[1].lane, letters[1].first));
}

#[test]
fn a_copy_that_was_shut_out_is_let_in_again_and_shuts_out_the_other() {
    let (mut world, database) = World::on_disk(|_| {});
    add_view(&world);
    close(&mut world);
    let copy = world.disk.as_ref().unwrap().fork();
    world.open();
    add_view(&world);
    close(&mut world);
    let newest = world.disk.as_ref().unwrap().fork();
    world.disk.as_ref().unwrap().restore(&copy);
    for _ in 0..3 {
        let refused = refusal(&world);
        assert!(refused.to_string().contains("it is a copy"), "{refused}");
    }
    adopt(&mut world);
    add_view(&world);
    close(&mut world);
    assert_eq!(database.row(&page(1)).unwrap()[&Name::column("views")], Value::Int(3));
    world.disk.as_ref().unwrap().restore(&newest);
    for _ in 0..3 {
        let refused = refusal(&world);
        assert!(refused.to_string().contains("it is a copy"), "{refused}");
    }
}

/// Both have added something at the same position, and the copy's has landed.
#[test]
fn what_another_copy_has_landed_is_not_read_in_place_of_what_is_acknowledged_here() {
    let (mut world, database) = World::on_disk(|settings| {
        settings.load_timeout = Duration::from_millis(20);
        settings.database_check = Duration::ZERO;
    });
    add_view(&world);
    world.land_and_forget();
    let disk = world.disk.as_ref().unwrap().fork();
    world.engine().pause(None).unwrap();
    let mut copy = World {
        clock: world.clock.clone(),
        env: Env { disk: disk.env(1).disk, ..world.env.clone() },
        settings: world.settings.clone(),
        disk: Some(disk),
        database: world.database.clone(),
        engine: None,
    };
    copy.open();
    add_view(&copy);
    copy.land_all();
    close(&mut copy);
    assert_eq!(database.row(&page(1)).unwrap()[&Name::column("views")], Value::Int(2));
    world.run(&["page:1"], |unit, t| numbers::add(unit, 0, &t[0], b"views", b"10")).unwrap();
    let read = world.run(&["page:1"], |unit, t| {
        let mut views = None;
        fields::get(unit, 0, &t[0], &[b"views"], |value| views = value.map(<[u8]>::to_vec))?;
        Ok(views)
    });
    assert!(matches!(read, Err(Refusal::TryAgain(_))), "{:?}", read.map(|(views, _)| views));
    world.engine.take().unwrap().close(Duration::ZERO).unwrap();
}

#[test]
fn another_database_is_refused_and_adopted_without_bringing_what_had_landed_before() {
    let (mut world, _) = World::on_disk(|_| {});
    add_view(&world);
    close(&mut world);
    let other = MemoryDatabase::new(tables());
    world.database = Arc::new(other.clone());
    let refused = refusal(&world);
    assert!(matches!(refused, OpenError::Lander(_)), "{refused}");
    assert!(refused.to_string().contains("landfall adopt"), "{refused}");
    assert_eq!(lost(&world), [(1, 1)]);
    adopt(&mut world);
    add_view(&world);
    world.land_all();
    assert_eq!(other.row(&page(1)).unwrap()[&Name::column("views")], Value::Int(1));
}

#[test]
fn a_database_from_further_back_than_the_log_reaches_is_adopted_with_what_is_kept() {
    let double = Double::new(tables());
    let mut world = World::with(Arc::new(double.clone()), Some(StrictDisk::default()), |settings| {
        settings.retention = Duration::ZERO;
    });
    double.stop_replicating();
    for _ in 0..3000 {
        add_view(&world);
    }
    world.land_all();
    wait_until(|| world.engine().core.log.oldest(page_lane(&world)).position > 0);
    close(&mut world);
    double.fail_over();
    let refused = refusal(&world);
    assert!(refused.to_string().contains("no longer keeps"), "{refused}");
    let [(1, last)] = lost(&world)[..] else { panic!("{:?}", lost(&world)) };
    adopt(&mut world);
    world.land_all();
    let views = double.primary().row(&page(1)).unwrap()[&Name::column("views")].clone();
    assert_eq!(views, Value::Int(3000 - last as i64));
}

fn page_lane(world: &World) -> crate::model::LaneId {
    let table = world.engine().catalogue().table("page").cloned().unwrap();
    world.engine().core.lanes.of_row(Some(&table), page(1).as_bytes())
}

#[test]
fn a_log_whose_lane_moved_since_the_survey_changes_nothing() {
    let (mut world, database) = World::on_disk(|_| {});
    add_view(&world);
    close(&mut world);
    world.disk.as_ref().unwrap().wipe();
    let stale = survey(&world);
    // Somebody else decides in the meantime; its log is another, as the first one is in use.
    let mut other = World { disk: Some(StrictDisk::default()), engine: None, ..World::on_disk(|_| {}).0 };
    other.env.disk = other.disk.as_ref().unwrap().env(2).disk;
    other.database = Arc::new(database.clone());
    survey(&other).carry_out().unwrap();
    let refused = stale.carry_out().unwrap_err();
    assert!(matches!(refused, OpenError::Database(SinkError::Fenced { .. })), "{refused}");
    other.open();
}
